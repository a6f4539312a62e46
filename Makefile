# A developer's commands. Each sets up what it needs; `make` alone lists them.

BIN := .venv/bin
SAM := SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 .venv-sam/bin/sam
UV := .local/uv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-14s %s\n", $$1, $$2 }'

run: .venv/done ## the whole service on this machine, until Ctrl-C (PORT=… moves it, DEMO=0 without the demo)
	@$(BIN)/python -m dev.stack.run

token: .venv/done ## print a token for it (ACCOUNT=…, SCOPE="…", STORE=…)
	@$(BIN)/python -m dev.stack.tokens

reset: .venv/done ## forget its data
	@$(BIN)/python -m dev.stack.reset

dead-letters: .venv/done ## list dead letters, on AWS with STACK=… or QUEUE_URL=… (REASON=… some; REDRIVE=1 puts them back)
	@$(BIN)/python -m dev.stack.dead_letters

republish: .venv/done ## make the events of all pages since SINCE=TIME again (ACCOUNT=… some; on AWS with STACK=…)
	@PYTHONPATH=layers/common:. $(BIN)/python -m dev.stack.republish

restore-check: .venv/done ## what a point-in-time restore has torn in TABLE=… (REPAIR=1 mends it; see docs/runbook.md)
	@PYTHONPATH=layers/common:. $(BIN)/python -m dev.restore.check

smoke: .venv/done ## whether the stack at URL=… works, in an account of its own (TOKEN=… the platform's; on AWS run this first)
	@PYTHONPATH=layers/common:cli:. $(BIN)/python -m dev.smoke.run

deploy-page: .venv/done ## upload the merchant page to the bucket of STACK=… on AWS
	@PYTHONPATH=layers/common:. $(BIN)/python -m dev.page.deploy

screenshots: .venv/done ## take the pictures of the page in docs/page again
	@PYTHONPATH=layers/common:cli:. $(BIN)/python -m pytest -q tests/browser/screenshots.py

test: .venv/done ## every suite, end to end last
	@$(BIN)/python -m dev.suites

test-fast: .venv/done ## the suites that need no service, without their slow tests
	@$(BIN)/python -m pytest -q -m "not slow" tests/unit tests/functional tests/template

prove: .venv/done ## the whole proof, in parts; goes on where it stopped
	@$(BIN)/python -m dev.proof.run

mutants: .venv/done ## one mistake at a time in the core, each of which the tests must notice; goes on where it stopped
	@$(BIN)/python -m dev.proof.mutants

check: .venv/done .venv-sam/done ## style, types, imports, template
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy layers/common/autocredits cli functions dev bench tests
	PYTHONPATH=layers/common:cli:. $(BIN)/lint-imports
	$(BIN)/cfn-lint template.yaml
	$(SAM) validate --lint

bench: .venv/done ## what requests cost as a journal grows; fails where it is too much (WRITE=1 keeps the figures)
	@PYTHONPATH=layers/common:. $(BIN)/python -m bench.run

build: .venv/done .venv-sam/done ## what is deployed, in .aws-sam/build
	PATH="$(CURDIR)/$(BIN):$(CURDIR)/$(dir $(UV)):$$PATH" $(SAM) build

sam-local: docker build ## the build in `sam local` on the running stack: the API (API_PORT=…), or one call (EVENT=events/….json)
	@$(BIN)/python -m dev.stack.sam_local

test-sam: docker build ## every recorded event and an account's first steps in `sam local`
	@$(BIN)/python -m pytest -q tests/sam

docker:
	@docker info > /dev/null 2>&1 || { echo "error: this needs a running Docker (docker info fails)" >&2; exit 1; }

requirements: .venv/done ## pin what requirements/*.in ask for (remove a .txt first to renew all its pins)
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) requirements/dev.in -o requirements/dev.txt
	$(COMPILE) requirements/sam.in -o requirements/sam.txt
	$(COMPILE) -c requirements/dev.txt layers/common/requirements.in -o layers/common/requirements.txt
	$(COMPILE) -c requirements/dev.txt functions/purchase/requirements.in -o functions/purchase/requirements.txt

.venv/done: requirements/dev.txt requirements/uv.txt dev/venv.sh
	@dev/venv.sh .venv requirements/dev.txt
	@touch $@

.venv-sam/done: requirements/sam.txt requirements/uv.txt dev/venv.sh
	@dev/venv.sh .venv-sam requirements/sam.txt
	@touch $@

.PHONY: help run token reset dead-letters republish restore-check smoke deploy-page screenshots test test-fast prove mutants check bench build sam-local test-sam docker requirements
