# Thin on purpose: what these do is in setup.sh and in cargo.
.PHONY: setup build bench test lint

setup:
	@./setup.sh

build: setup
	cargo build --release --locked -p ackmark-cli

bench: setup
	cargo run --release --locked -p ackmark-cli -- bench $(ARGS)

test: lint
	cargo test --workspace --locked

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
