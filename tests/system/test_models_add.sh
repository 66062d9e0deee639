#!/bin/bash
# reflect models add: what jobs can use is put into the models folder whole, what they cannot is refused with the reason.
. "$(dirname "$0")/lib.sh"
reflect=$(dirname "$REFLECTD")/reflect
unset REFLECT_API_KEY REFLECT_URL REFLECT_PROFILE REFLECTD_MODELS; export XDG_CONFIG_HOME=$work/none
run() { timeout 60 "$reflect" "$@" > "$work/said" 2> "$work/told"; code=$?; said=$(< "$work/said") told=$(< "$work/told"); }
rm -r "$work/models/tiny"
golden_model bert-hra "$work/real"
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

# A GGUF in several files, from llama.cpp's gguf-split.
mkdir "$work/parts"; "$(dirname "$REFLECTD")/tests/system/split_gguf" "$root/tests/worker/export/tiny.gguf" "$work/parts/tiny" 3
run models add "$work/parts/tiny-00002-of-00003.gguf" --models "$work/models"; is "$code" 1 "a part that is not the first"
like "$told" 'is part 2 of 3; the first one, tiny-00001-of-00003.gguf, names the model' "is refused, and the first one named"
mv "$work/parts/tiny-00003-of-00003.gguf" "$work/third"
run models add "$work/parts/tiny-00001-of-00003.gguf" --models "$work/models"; is "$code" 1 "a model with a part missing"
like "$told" 'tiny-00003-of-00003.gguf: is missing; the model has 3 parts' "is refused by that part's name"
mv "$work/third" "$work/parts/tiny-00003-of-00003.gguf"
run models add "$work/parts/tiny-00001-of-00003.gguf" --models "$work/models"; is "$code $told" "0 " "the first part"; like "$said" '^tiny: llama, ' "is added under the model's name"
is "$(ls "$work/models/tiny" | tr '\n' ' ')" "tiny-00001-of-00003.gguf tiny-00002-of-00003.gguf tiny-00003-of-00003.gguf " "with the others"
run models add "$work/parts" --name org/tiny --models "$work/models"; is "$code $told" "0 " "their folder"
cp "$work/parts/"*.gguf "$work/models/"

sandbox=auto; instrumented && sandbox=off # which must let a worker read all parts
start_real --sandbox "$sandbox"
for model in small org/other tiny org/tiny tiny-00001-of-00003.gguf; do call GET "/v1/models/$model"; like "$body" '"usable":true' "the server can use $model"; done
call GET /v1/models; unlike "$body" '-0000[23]-of' "later parts are no models"
for i in {1..6}; do echo '{"prompt":"ab","completion":"cd"}'; done > "$work/train.jsonl"
call POST /v1/files -F purpose=fine-tune -F "file=@$work/train.jsonl"; file=$(value id)
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"tiny-00001-of-00003.gguf\",\"training_file\":\"$file\",\"hyperparameters\":{\"max_steps\":2},\"exports\":[\"gguf:f16\"]}"; job=$(value id)
await succeeded "$job" 100 && ok "a job on the parts" || not_ok "a job on the parts" "$body"
export REFLECT_URL=$url; run jobs download "$job" --out "$work/adapter"
like "$(< "$work/adapter/training_manifest.json")" '"tiny-00001-of-00003.gguf".*"tiny-00002-of-00003.gguf".*"tiny-00003-of-00003.gguf"' "its manifest has all of them"
like "$(< "$work/adapter/README.md")" 'gguf_file="tiny.gguf".*gguf-split --merge' "its card says how Transformers reads them"
run verify "$work/adapter" --base "$work/parts/tiny-00001-of-00003.gguf"; is "$code" 0 "which reflect verify hashes"; like "$said" 'same +base model: tiny-00003-of-00003.gguf' "each"
printf x >> "$work/parts/tiny-00003-of-00003.gguf"; run verify "$work/adapter" --base "$work/parts/tiny-00001-of-00003.gguf"; is "$code" 1 "another part"; like "$said" 'different +base model: tiny-00003-of' "is named"
run jobs download "$job" --out "$work/adapter" --name merged-f16.gguf
run models add "$work/adapter/merged-f16.gguf" --models "$work/models"; is "$code $told" "0 " "the merged model is one file, which has no part's keys"
stop
finish
