PYTHON ?= python3
BIN    := .venv/bin
SHELL  := /bin/bash

.DEFAULT_GOAL := help

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

# Two stamp files for .venv: the demo needs few packages and starts sooner, the tests need all.
.venv/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[local]' boto3 scikit-image
	@touch $@

.venv/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.PHONY: demo
demo: .venv/.demo  ## the main job: a KFP pipeline whose steps are Pachyderm jobs, with its provenance
	@$(BIN)/python samples/edges/demo.py

.PHONY: test
test: lint types rooms docs auth unit  ## everything that CI checks

.PHONY: ci
ci: test  ## what CI runs: the same as `make test`

.PHONY: lint
lint: .venv/.dev  ## style and common mistakes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

.PHONY: types
types: .venv/.dev  ## mypy, strict
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/api.py

.PHONY: rooms
rooms: .venv/.dev  ## the arrows between the rooms
	$(BIN)/lint-imports

# awscli pins another docutils than Sphinx takes, so it has a venv of its own.
.venv/.docs: pyproject.toml docs/constraints.txt
	$(PYTHON) -m venv .venv/docs
	.venv/docs/bin/python -m pip install --quiet --disable-pip-version-check -c docs/constraints.txt -e '.[docs]'
	@touch $@

.PHONY: docs
docs: .venv/.docs  ## the site, in .site/; warnings are errors, all links are checked
	rm -rf .site
	.venv/docs/bin/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going -d .venv/docs/pages docs .site
	.venv/docs/bin/python docs/building/check.py .site

.PHONY: unit
unit: .venv/.dev  ## the tests
	@# as pip does: where Python may write no bytecode, each of many hundred steps would compile the launcher anew
	$(BIN)/python -m compileall -q kfp_pachyderm
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

.PHONY: test-all
test-all: .venv/.gsutil  ## the tests, also those that take long, with coverage of child processes too; an hour
	$(BIN)/coverage erase
	KFP_PACHYDERM_TEST_ALL=1 $(BIN)/coverage run --parallel-mode -m pytest -n 2 --dist loadfile
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=80

.PHONY: auth
auth: .venv/.dev  ## the embedded Pachyderm's tests once more, with authentication on
	KFP_PACHYDERM_TEST_AUTH=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile tests/embedded \
		--ignore-glob='*_kills.py' --ignore-glob='*_gateway*.py' --ignore-glob='*_auth_steps.py'

# Maven downloads Hadoop's S3A connector, which pyspark lacks; --quiet hides its progress.
.venv/.spark: .venv/.dev tests/spark/requirements.txt tests/spark/pom.xml
	$(PYTHON) -m venv .venv/spark
	.venv/spark/bin/python -m pip install --quiet --disable-pip-version-check -r tests/spark/requirements.txt
	mvn --batch-mode --quiet -f tests/spark/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/.venv/spark/jars
	@touch $@

.PHONY: test-spark
test-spark: .venv/.spark  ## Apache Spark (S3A) in a step; needs Java 17 and Maven, downloads a gigabyte
	$(BIN)/python -m pytest -q tests/spark

.PHONY: test-large
test-large: .venv/.dev  ## objects over 4 GiB through the adapter; needs 16 GiB of disk
	$(BIN)/python -m pytest -q tests/large

# Scripts outside of this repository build Kubernetes, and keep it for later calls (tests/cluster/stand.py).
.PHONY: test-cluster
test-cluster: .venv/.dev  ## a step on a real one-node Kubernetes; needs root, builds half an hour the first time
	$(BIN)/python -m pytest -q -s tests/cluster

# The newest kfp whose version begins with KFP, and the newest of all other packages: without constraints.txt, as
# users install.
KFP    ?= 2.17
COMPAT ?= .venv/compat-$(notdir $(PYTHON))-kfp-$(KFP)
# CORE leaves out tests that do not depend on Python or kfp: manifests, client matrix, repository rules, faults.
CORE   := adapter authoring cli components doctor embedded forward gc holder kfp_pipelines launcher local \
	openlineage pachd protocol provenance replay runtime s3 samples share trigger

.PHONY: compat
compat:  ## the suite's core with another Python and another kfp: PYTHON=python3.13 KFP=2.14
	$(PYTHON) -m venv $(COMPAT)
	$(COMPAT)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' $(foreach one,kfp kfp-kubernetes kfp-pipeline-spec,'$(one)==$(KFP).*')
	$(COMPAT)/bin/python -m pytest -q -n 2 --dist loadfile $(addprefix tests/,$(CORE))

.PHONY: golden
golden: .venv/.dev  ## write the compiled YAML goldens again
	$(BIN)/python tests/authoring/regenerate.py

# gsutil pins another google-auth than kfp gets, so it has a venv of its own.
.venv/.gsutil: .venv/.dev benchmarks/gsutil.txt
	$(PYTHON) -m venv .venv/gsutil
	.venv/gsutil/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/gsutil.txt
	@touch $@

# ministack pins another botocore than awscli does, so it has a venv of its own.
.venv/.bench: .venv/.dev benchmarks/ministack.txt
	$(PYTHON) -m venv .venv/ministack
	.venv/ministack/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/ministack.txt
	@touch $@

.PHONY: components
components: .venv/.dev  ## write the component.yaml files again
	$(BIN)/python components/generate.py

.PHONY: notebook
notebook: .venv/.dev  ## run the notebook and write it with its outputs
	$(BIN)/python samples/notebooks/execute.py

.PHONY: pictures
pictures: .venv/.dev  ## make the gallery's pictures again, from runs of the samples
	$(BIN)/python samples/pictures.py

.PHONY: bench
bench: .venv/.bench  ## the figures: the adapter's targets, step overhead, import, growth
	$(BIN)/python -m benchmarks

.PHONY: bench-adapter
bench-adapter: .venv/.bench  ## the adapter's targets alone: ratios against its sidecar, moto and ministack
	$(BIN)/python -m benchmarks adapter

.PHONY: matrix
matrix: .venv/.gsutil  ## every S3 client against a step's endpoint, written to docs/clients.md
	$(BIN)/python -m benchmarks.matrix

.PHONY: faults
faults: .venv/.dev  ## every fault of a step and what comes of it, written to docs/faults.md
	KFP_PACHYDERM_TEST_ALL=1 KFP_PACHYDERM_WRITE_FAULTS=1 $(BIN)/python -m pytest -q tests/faults

.PHONY: format
format: .venv/.dev  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lock
lock: .venv/.dev  ## write constraints.txt again, names and versions only
	$(BIN)/python -m pip freeze --exclude-editable --exclude kfp-pachyderm | LC_ALL=C sort -f > constraints.txt

# The tools of a release have a venv of their own: twine and cyclonedx-bom install much that no test needs.
.venv/.release: release/requirements.txt
	$(PYTHON) -m venv .venv/release
	.venv/release/bin/python -m pip install --quiet --disable-pip-version-check -r release/requirements.txt
	@touch $@

.PHONY: release
release: .venv/.release  ## wheel, sdist and SBOM of HEAD in dist/, checked; VERSION=1.2.3 names it, TAG=1 commits and tags; never pushes
	.venv/release/bin/python -m release $(if $(VERSION),--version $(VERSION)) $(if $(TAG),--tag)

.PHONY: release-check
release-check: .venv/.release  ## the same without a tag: whether HEAD could be released
	.venv/release/bin/python -m release

.PHONY: resolve
resolve: .venv/.dev  ## how long pip needs to resolve each extra without constraints.txt, in seconds
	$(BIN)/python -m release.resolve

.PHONY: lock-docs
lock-docs: .venv/.docs  ## write docs/constraints.txt again
	.venv/docs/bin/python -m pip freeze --exclude-editable --exclude kfp-pachyderm | LC_ALL=C sort -f > docs/constraints.txt

.PHONY: clean
clean:  ## remove what the other targets made
	rm -rf .venv .site docs/samples .container .dask .demo .digits .fan .jax .yaml .pachyderm dist .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
