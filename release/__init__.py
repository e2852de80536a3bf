"""Makes a release (`make release`): version, changelog, wheel, sdist, SBOM, all of it checked."""
