STACK ?= onedl
VENV_onedl := .venv
VENV_openmmlab := .venv-openmmlab
VENV := $(VENV_$(STACK))
ifeq ($(VENV),)
$(error STACK is onedl or openmmlab, not '$(STACK)')
endif
# Read by tools/setup_env.sh, which has their defaults, and by docs/conf.py.
export PYTHON TORCH MAX_JOBS REPOSITORY_URL

.PHONY: help env demo test lint docs clean

help:
	@echo 'make demo   train and compare the two small detectors, write the report'
	@echo 'make test   lint, then run the test suite'
	@echo 'make lint   ruff check and ruff format --check'
	@echo 'make docs   the site of docs/, in docs/_build/html'
	@echo 'make env    only the virtual environment, which the above make first'
	@echo 'make clean  remove the environments and build leftovers, not results'
	@echo
	@echo 'Variables, as in `make test STACK=openmmlab`:'
	@echo '  STACK=onedl|openmmlab  the MMDetection to run on ($(STACK), in $(VENV))'
	@echo '  PYTHON=python3.12      the interpreter of a new environment, 3.10 to 3.12'
	@echo '  TORCH="torch==2.13.0"  what pip installs as PyTorch, options included:'
	@echo '                         where pip finds only the CUDA build (several GB),'
	@echo '                         add --index-url and an index of CPU builds'
	@echo '  MAX_JOBS=2             compilers at a time'
	@echo '  REPOSITORY_URL=...     where the site links files of the repository'

env:
	@bash tools/setup_env.sh $(STACK) $(VENV)

demo: env
	$(VENV)/bin/python -m benchmarks.quality benchmarks/grids/demo.py

lint: env
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# A process for each core, each of one thread: threads would wait for cores.
test: lint
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest \
		-n auto --maxprocesses 8 --dist loadfile

docs: env
	$(VENV)/bin/python -m sphinx -q -W --keep-going docs docs/_build/html

clean:
	rm -rf $(VENV_onedl) $(VENV_openmmlab) build dist *.egg-info
	rm -rf docs/_build mmdet_metaanchor/.mim .pytest_cache .ruff_cache .hypothesis
