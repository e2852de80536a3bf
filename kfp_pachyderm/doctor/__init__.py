"""`kfp-pachyderm doctor`: will steps work from here?"""
