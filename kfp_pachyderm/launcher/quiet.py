"""KFP's executor without its dump of the whole input, which drowns what the step itself says.

Before it calls the user's function, `kfp.dsl.executor_main` logs its input as indented JSON: fifty lines and
more, with the value of every parameter. KFP's driver has the same in its own log (KFP
backend/src/v2/cmd/driver/main.go, "output ExecutorInput"), and the Kubeflow UI shows the parameters.
"""

from __future__ import annotations

#: How KFP starts its executor (kfp/dsl/component_factory.py, _get_command_and_args_for_lightweight_component
#: and CONTAINERIZED_PYTHON_COMPONENT_COMMAND), and what KFP's shell script has in the same text.
_MODULE = "-m kfp.dsl.executor_main"
_SCRIPT = '"$program_path/ephemeral_component.py"'

#: `python -m kfp.dsl.executor_main` without one kind of record; the shell gets it in single quotes.
_PROGRAM = """
import logging, os, runpy, sys
if sys.path[0] == "":
    sys.path[0] = os.getcwd()
def wanted(record):
    return record.module != "executor_main" or not str(record.msg).startswith("Got executor_input")
logging.getLogger().addFilter(wanted)
runpy.run_module("kfp.dsl.executor_main", None, "__main__", True)
"""


def quieted(command: list[str]) -> list[str]:
    """The command of a component; one that KFP's executor does not run stays as it is.

    Args:
        command: program and arguments.
    """
    if command[1:3] == _MODULE.split():
        return [command[0], "-c", _PROGRAM, *command[3:]]
    for index, one in enumerate(command):
        # The user's own source comes after KFP's script.
        if _MODULE in one and _SCRIPT in one:
            return [*command[:index], one.replace(_MODULE, f"-c '{_PROGRAM}'", 1), *command[index + 1 :]]
    return command
