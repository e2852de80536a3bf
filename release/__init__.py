"""Makes a release (`make release`): version, changelog, wheel, sdist and SBOM, all of them checked."""
