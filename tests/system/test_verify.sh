#!/bin/bash
# An adapter's manifest, its model card, and reflect verify, which finds each file that is not what was trained.
. "$(dirname "$0")/lib.sh"
reflect=${REFLECTD%reflectd}reflect
golden_model bert-hra
start_real
export REFLECT_URL=$url
for i in {1..20}; do echo "{\"text\":\"w$i w2\",\"label\":\"$((i % 2))\"}"; done > "$work/train.jsonl"
call POST /v1/files -F purpose=fine-tune -F "file=@$work/train.jsonl"; file=$(value id)
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"bert\",\"training_file\":\"$file\",\"validation_file\":\"$file\",\"seed\":1,\"adapter\":{\"target_modules\":\".*(query|key)\"},\"hyperparameters\":{\"n_epochs\":2,\"batch_size\":4}}"; job=$(value id)
await succeeded "$job" 300 && ok "a job ends" || not_ok "a job ends" "$body"
"$reflect" jobs download "$job" --out "$work/adapter" > /dev/null; "$reflect" jobs download "$job" --out "$work/adapter" --name adapter.tar > /dev/null

# run ARGUMENT...: sets said and code.
run() { said=$("$reflect" verify "$@" 2>&1); code=$?; }
manifest=$(< "$work/adapter/training_manifest.json")
like "$manifest" "\"base_model\": \{.*\"name\": \"config.json\".*\"name\": \"model.safetensors\".*\"name\": \"vocab.txt\"" "the manifest has the base's files"
like "$manifest" "$(sha256sum < "$work/train.jsonl" | cut -d' ' -f1)" "and the hash of the data"
run "$work/adapter" --base "$work/models/bert" --data "$work/train.jsonl" --validation "$work/train.jsonl"
is "$code" 0 "all is as it was"; like "$said" 'same +adapter_model.safetensors' "which is told of each file"; like "$said" 'base model: model.safetensors' "of the base"; like "$said" 'same +validation data' "and of the data"
run "$work/adapter/adapter.tar"; is "$code" 0 "the archive"
run "$job"; is "$code" 0 "what the server has"; like "$said" 'same +training_file: train.jsonl' "its data among it"
call DELETE "/v1/files/$file"; run "$job"; is "$code" 0 "data that was deleted is no fault"; like "$said" 'missing +training_file' "but told"

card=$(< "$work/adapter/README.md")
like "$card" $'^---\nbase_model: bert\nlibrary_name: peft\n' "the card begins as the hub reads it"
like "$card" $'\nmetrics:\n- accuracy\n.*\nmodel-index:\n.*\n---\n' "with metrics"
like "$card" '\| training \| `train.jsonl` \| 20 \|' "has the data"; like "$card" '\| accuracy \| [01]' "the results"; like "$card" '\| 10 \| 2.00 \| [0-9.]+ \| [0-9.]+ \|' "the curve"
like "$card" '\| seed \| 1 \|' "the settings"; like "$card" '\| target_modules \| `"\.\*\(query\\\|key\)"` \|' "a pattern among them as it is"; like "$card" 'AutoTokenizer.from_pretrained\("bert"\)' "and how to load it"; unlike "$card" "$job|$file" "and nothing of the run"

printf x >> "$work/adapter/adapter_config.json"; run "$work/adapter"; is "$code" 1 "a file that was changed"; like "$said" 'different +adapter_config.json' "is named"
rm "$work/adapter/adapter_model.safetensors"; run "$work/adapter"; is "$code" 1 "one that is gone"; like "$said" 'missing +adapter_model.safetensors' "is named"
printf x >> "$work/models/bert/vocab.txt"; run "$work/adapter" --base "$work/models/bert"; like "$said" 'different +base model: vocab.txt' "another base"
run --json "$work/adapter"; is "$code" 1 "as JSON"; like "$said" '"verified": false' "too"
run "$work/nothing"; is "$code" 5 "nothing there"; run "$work/models/bert"; is "$code" 5 "a folder without a manifest"; like "$said" training_manifest.json "says so"
run ftjob-none; is "$code" 3 "no such job"
stop; is "$code" 0 "exit 0"
finish
