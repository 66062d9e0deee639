#!/bin/bash
# reflect models add: what jobs can use is put into the models folder whole, what they cannot is refused with the reason.
. "$(dirname "$0")/lib.sh"
reflect=$(dirname "$REFLECTD")/reflect
unset REFLECT_API_KEY REFLECT_URL REFLECT_PROFILE REFLECTD_MODELS; export XDG_CONFIG_HOME=$work/none
run() { timeout 60 "$reflect" "$@" > "$work/said" 2> "$work/told"; code=$?; said=$(< "$work/said") told=$(< "$work/told"); }
rm -r "$work/models/tiny"
mkdir "$work/real"; cp "$root"/tests/golden/cases/bert-hra/model/* "$work/real/"
{ printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n'; printf 'w%d\n' {0..93}; } > "$work/real/vocab.txt"
ln -s real "$work/small"

run models add "$work/small"; is "$code" 2 "no models folder"; like "$told" '--models is missing' "is asked for"
run models add "$work/small/" --models "$work/models"; is "$code $told" "0 " "a model"; like "$said" '^small: bert, ' "is put there under its name"
is "$(ls -A "$work/models") $(cmp "$work/small/model.safetensors" "$work/models/small/model.safetensors")" "small " "whole, and nothing beside it"
run --json models add "$work/small" --name org/other --models "$work/models"; is "$code" 0 "under another name"
like "$said" '"id": "org/other".*"architecture": "bert"' "with what it is good for"
run models add "$work/small" --models "$work/models"; is "$code" 2 "the same again"; like "$told" 'already; --name' "is not written over"
run models add "$work/small" --name ../x --models "$work/models"; is "$code" 2 "a name that leads elsewhere"
run models add "$work/none" --models "$work/models"; is "$code" 5 "no such folder"
mkdir "$work/odd"; echo '{"model_type": "gpt9"}' > "$work/odd/config.json"; cp "$work/small/model.safetensors" "$work/odd/"
run models add "$work/odd" --models "$work/models"; is "$code" 1 "a model of no kind that is known"
like "$told" 'no job could use this model, so it is not added: .*gpt9' "is refused with the reason"
head -c 1000 "$work/small/model.safetensors" > "$work/odd/model.safetensors"; cp "$work/small/config.json" "$work/small/vocab.txt" "$work/odd/"
run models add "$work/odd" --models "$work/models"; is "$code" 1 "so is one with half of its weights"
echo text > "$work/file.txt"; run models add "$work/file.txt" --models "$work/models"; is "$code" 2 "a file that is no GGUF"
is "$(ls -A "$work/models" | tr '\n' ' ')" "org small " "none of them left anything"

start --worker-path "$(dirname "$REFLECTD")/reflect-worker"
for model in small org/other; do call GET "/v1/models/$model"; like "$body" '"usable":true' "the server can use $model"; done
stop
finish
