#!/bin/bash
# What is known of the base models: each is looked at by a worker before a job uses it.
. "$(dirname "$0")/lib.sh"
for model in broken fragile encoder odd; do mkdir "$work/models/$model"; echo '{}' > "$work/models/$model/config.json"; done
start
call GET /v1/models/tiny; like "$status $body" '^200 .*"usable":true,"error":null,"capabilities":\{"architecture":"tiny","tasks":\["CAUSAL_LM","SEQ_CLS"\]' "a model that is good for both"
call GET /v1/models/broken; like "$body" '"usable":false,"error":\{"code":"model_load_failed","message":"config.json: model_type .*gpt9.* is not supported' "one that cannot be used, and why"
call GET /v1/models/fragile; like "$body" '"usable":null,"error":null,"capabilities":null' "one over which the worker fell"
call GET /v1/models; like "$body" '"id":"broken".*"usable":false.*"id":"tiny".*"usable":true' "the list says the same"
call GET /v1/capabilities; is "$status" 200 "what jobs can ask for"
like "$body" '"models":\[\{"id":"broken".*"usable":false.*"tasks":null\}.*"id":"encoder".*"tasks":\["classification","regression","multi_label",.*"id":"tiny".*"language_model"' "each model with the tasks that it can learn"
like "$body" '"devices":\[\{"name":"cpu","processor":"none","memory_bytes":null,"gpu":false,"places":1\}\]' "the devices"
like "$body" '"limits":\{"upload_bytes_max":[0-9]+.*"tenant":\{"id":"default","queued_jobs_max":null' "limits of the server and of the tenant"
like "$body" '"caller":\{"scope":"admin","key_id":null,"key_needed":false\}' "whom the server takes us for"
like "$body" '"path":"method.supervised.hyperparameters","members":\[\{"name":"n_epochs","type":"integer","required":false,"description":"[^"]+","minimum":1,"maximum":100,"default":3,"auto":true' "members with their bounds"

create() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"$1\",\"training_file\":\"$file\",\"suffix\":\"ok\"}"; job=$(value id); }
upload train.jsonl
create broken; is "$status $(value code)" "400 model_load_failed" "a job of it is refused when it is created"
like "$body" '"message":"the model broken cannot be used: config.json' "by the model's name"; is "$(value param)" model "which is at fault"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"tiny\",\"training_file\":\"$file\",\"adapter\":{\"target_modules\":[\"self.query\",\"querry\"]}}"
is "$status $(value code) $(value param)" "400 unsupported_target_module adapter.target_modules" "a module that the model has not"
like "$body" 'no module .*querry.*did you mean .*query.*it has query, dense' "is named, with what there is"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"odd\",\"training_file\":\"$file\",\"adapter\":{\"target_modules\":[\"querry\"]}}"
like "$status $body" '^400 .*did you mean .*query' "a report with members of other kinds is read as far as it goes"
create fragile; is "$status" 200 "what nobody could tell, the job finds out"; await succeeded && ok "and it may" || not_ok "and it may" "$body"

create "$(call GET "/v1/fine_tuning/jobs/$job"; value fine_tuned_model)"
like "$status $body" '^404 .*is a fine-tuned model: a job goes on from it with the model .*fragile.* and from_checkpoint' "a fine-tuned model is no base"
mkdir "$work/models/new" && echo '{}' > "$work/models/new/config.json"
create new; is "$status $(value status)" "200 queued" "a model that was copied in is looked at before the answer"
call GET /v1/models/new; like "$body" '"usable":true' "and known from then on"
mv "$work/models/new" "$work/models/broken-new"; create broken-new; is "$status $(value code)" "400 model_load_failed" "under another name too"
mkdir "$work/models/moved" && echo '{}' > "$work/models/moved/config.json"; call GET /v1/models/moved; like "$body" '"usable":true' "one that is replaced"
rm -r "$work/models/moved"; mkdir "$work/models/broken2"; echo '{}' > "$work/models/broken2/config.json"; ln -s broken2 "$work/models/moved"
call GET /v1/models/moved; like "$body" '"usable":' "is looked at again"
like "$(grep -c 'the model moved' "$work/log")" '^2$' "once for each of its versions"
stop; is "$code" 0 "exit 0"

start --upload-check-wait-ms 0
mkdir "$work/models/later" && echo '{}' > "$work/models/later/config.json"
create later; is "$status $(value status)" "200 validating_files" "without a wait the job is told that its model is still looked at"
await succeeded && ok "and goes on" || not_ok "and goes on" "$body"
mkdir "$work/models/broken3" && echo '{}' > "$work/models/broken3/config.json"
create broken3; is "$status $(value status)" "200 validating_files" "one that cannot be used"
await failed; like "$body" '"code":"model_load_failed","message":"the model broken3 cannot be used' "fails before it is queued"
stop; is "$code" 0 "exit 0"
finish
