#!/bin/bash
# Ordinary mishaps lose nothing: a row of the store that is damaged or huge, a host that cannot start workers for a while, a
# database that is gone, a disk that is full.
. "$(dirname "$0")/lib.sh"

start
upload train.jsonl
long=$(printf 'x%.0s' {1..300000})
printf '{"model":"tiny","training_file":"%s","adapter":{"peft_type":"HRA","modules_to_save":["%s"]}}' "$file" "$long" > "$work/big"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "@$work/big"
is "$status $(value code) $(value param)" "400 invalid_value adapter.modules_to_save" "a job that is too large to be stored is refused by name"
finish
