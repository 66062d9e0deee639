#!/bin/bash
# Adapters that begin as a part of the weights (PiSSA, OLoRA), by the real worker: estimated, trained, saved as a LoRA of
# twice the rank, which is what is downloaded, verified, exported, served and started from.
. "$(dirname "$0")/lib.sh"
reflect=${REFLECTD%reflectd}reflect
golden_model bert-hra
start_real
export REFLECT_URL=$url
for i in {1..20}; do echo "{\"text\":\"w$i w2\",\"label\":\"l$((i % 2))\"}"; done > "$work/train.jsonl"
call POST /v1/files -F purpose=fine-tune -F "file=@$work/train.jsonl"; file=$(value id)
options=(--model bert --file "$file" --validation "$file" --seed 1 --method lora --r 4 --lora-alpha 8 --epochs 8 --batch 4 --lr 2e-3)
create() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"bert\",\"training_file\":\"$file\",\"seed\":1$1}"; job=$(value id); }

out=$("$reflect" jobs estimate "${options[@]}" --init-lora-weights pissa 2> /dev/null); like "$? $out" $'^0 fits +yes' "an estimate"
for init in pissa pissa_niter_2 olora; do
  job=$("$reflect" --json jobs create "${options[@]}" --init-lora-weights "$init" | grep -o 'ftjob-[a-z0-9]*' | head -1)
  await succeeded "$job" 300 && ok "$init: a job ends" || not_ok "$init: a job ends" "$body"
  like "$body" "\"r\":4,.*\"init_lora_weights\":\"$init\"" "$init: and says how it began"
  rm -rf "$work/adapter"; "$reflect" jobs download "$job" --out "$work/adapter" > /dev/null; is $? 0 "$init: what it made is downloaded and verified"
  config=$(tr -d ' \n' < "$work/adapter/adapter_config.json")
  like "$config" '"r":8,"lora_alpha":16(\.0)?,.*"init_lora_weights":true' "$init: the adapter is a LoRA of twice the rank"
done
like "$(< "$work/adapter/README.md")" 'It was trained with OLoRA' "the card says how it began"
like "$(< "$work/adapter/README.md")" '\| init_lora_weights \| `"olora"`' "the settings are the job's"

"$reflect" jobs export "$job" lora,merged:f32 > "$work/said"; is $? 0 "exports afterwards"
"$reflect" jobs download "$job" --out "$work/more" --name predictions.jsonl > /dev/null
want=$(head -1 "$work/more/predictions.jsonl" | grep -o '"prediction": *"[^"]*"' | cut -d'"' -f4)
call GET "/v1/fine_tuning/jobs/$job"; model=$(value fine_tuned_model)
like "$("$reflect" classify "$model" --text 'w1 w2')" " $want\$" "served, it says what the training said"

first=$job
create ",\"from_checkpoint\":\"$first\""; await succeeded "$job" 300 && ok "a job goes on from it" || not_ok "a job goes on from it" "$body"
like "$body" '"r":8,"lora_alpha":16(\.0)?,.*"init_lora_weights":true' "as from the LoRA that it is"
call GET "/v1/fine_tuning/jobs/$job/events"; unlike "$body" 'was trained on' "of the same base"
sed -i 's/"base_model_name_or_path": *"[^"]*"/"base_model_name_or_path": "someone\/bort"/' "$work/adapter/adapter_config.json"
tar -C "$work/adapter" -cf "$work/other.tar" adapter_config.json adapter_model.safetensors labels.json
call POST /v1/files -F purpose=fine-tune -F "file=@$work/other.tar"; create ",\"from_checkpoint\":\"$(value id)\""; await succeeded "$job" 300 && ok "one of another base that fits goes on" || not_ok "one of another base that fits goes on" "$body"
call GET "/v1/fine_tuning/jobs/$job/events"; like "$body" 'starts from was trained on someone/bort, the job.s model is bert' "and the job says so"
create ",\"from_checkpoint\":\"$first\",\"adapter\":{\"peft_type\":\"LORA\",\"r\":8,\"init_lora_weights\":\"olora\"}"
is "$status $(value code) $(value param)" "400 invalid_value adapter.init_lora_weights" "it cannot begin twice"
create ',"adapter":{"peft_type":"LORA","r":49,"init_lora_weights":"pissa"}'
is "$status $(value code) $(value param)" "400 invalid_value adapter.r" "more rank than a weight has"; like "$body" 'adapter.r is 49 for bert\.' "is refused by its module"
create ',"adapter":{"peft_type":"BOFT","boft_block_size":7}'
is "$status $(value code) $(value param)" "400 invalid_value adapter.boft_block_size" "so are blocks that do not divide a weight"; like "$body" 'bert\..* inputs, which boft_block_size 7 does not divide' "by its module too"
create ',"adapter":{"peft_type":"LORA","init_lora_weights":"pissa","use_dora":true}'
is "$status $(value param)" "400 adapter.use_dora" "DoRA has no such start"
stop; is "$code" 0 "exit 0"
finish
