# The usual targets; the work is done by scripts/ and the go command. `make help` lists them.

GO ?= go
LINT = GOLANGCI_LINT_CACHE=$(CURDIR)/bin/lint $(GO) tool -modfile=internal/tools/go.mod golangci-lint
# Packages whose golden files `make update` rewrites.
GOLDEN = $$($(GO) list -f '{{.Dir}}' ./... | xargs -I{} grep -lsr --include='*_test.go' 'flag.Bool("update"' {} | xargs -n1 dirname | sort -u)

.PHONY: build install test unit lint fmt bench update fuzz vm-test clean help

build: ## build bin/lab
	CGO_ENABLED=0 $(GO) build -buildvcs=auto -trimpath $(if $(VERSION),-ldflags "-X main.release=$(VERSION)") -o bin/lab ./cmd/lab

install: build ## install lab in /usr/local/bin (DESTDIR and PREFIX as usual)
	install -D -m 755 bin/lab $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/lab

test: ## run everything as CI does; needs root, installs what is missing
	scripts/test

unit: ## run the tests that need no root
	$(GO) test ./lab/... ./emu/... ./internal/... ./scenarios/... ./cmd/...

lint: ## run golangci-lint at the version of internal/tools/go.mod
	$(LINT) run

fmt: ## format the Go files
	$(LINT) fmt

bench: ## measure; needs root and an idle machine
	scripts/bench

update: ## rewrite golden files; read the difference before you commit it
	for d in $(GOLDEN); do $(GO) test $$d -update || exit 1; done

fuzz: ## fuzz each parser for FUZZTIME (30s)
	scripts/fuzz $(or $(FUZZTIME),30s)

vm-test: ## run two scenarios under Debian's kernel in qemu; needs root
	scripts/vm-test

clean: ## remove what was built
	rm -rf bin

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
