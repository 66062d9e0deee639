#!/bin/bash
# Exports of a finished job, and jobs that start from another's adapter: asked for, refused, failed, interrupted.
. "$(dirname "$0")/lib.sh"
rm "$work/models/tiny/config.json" && : > "$work/models/tiny/tiny.gguf" # a base that is a GGUF file
start
json=(-H 'Content-Type: application/json')
exports() { call POST "/v1/fine_tuning/jobs/$job/exports" "${json[@]}" -d "{\"exports\":[$1]}"; }
# exported FORMAT STATUS: polls until the export of $job has that status.
exported() {
  for _ in {1..100}; do
    call GET "/v1/fine_tuning/jobs/$job/exports"
    [[ $body =~ \"format\":\"$1\",\"status\":\"$2\" ]] && return 0
    sleep 0.1
  done
  return 1
}

upload train.jsonl
submit wait; await running
exports '"lora"'; is "$status $(value code)" "409 job_not_succeeded" "a job that runs has nothing to export"
waiting=$job
call POST "/v1/fine_tuning/jobs/$job/cancel"; await cancelled
submit ok; await succeeded; first=$job

exports '"lora","gguf:q8_0"'; is "$status" 200 "two formats are asked for"
like "$body" '"object":"fine_tuning.job.export"' "export objects"
exported lora succeeded && ok "lora is made" || not_ok "lora is made" "$body"
exported gguf:q8_0 succeeded && ok "gguf:q8_0 is made" || not_ok "gguf:q8_0 is made" "$body"
unlike "$body" '"finished_at":null' "both have ended"
call GET "/v1/fine_tuning/jobs/$job/artifacts"; like "$body" '"name":"lora.bin".*"name":"gguf-q8_0.bin"' "their files join the artifacts"
call GET "/v1/fine_tuning/jobs/$job/artifacts/lora.bin"; like "$body" '^lora of ' "and can be downloaded"
exports '"lora"'; exported lora succeeded; is "$(grep -o '"format":"lora"' <<< "$body" | wc -l)" 1 "a second request changes nothing"

exports '"onnx"'; is "$status $(value code)" "400 unsupported_value" "an unknown format is refused"
exports ''; is "$status" 400 "an empty list is refused"
call POST "/v1/fine_tuning/jobs/$job/exports" "${json[@]}" -d '{"export":["lora"]}'; like "$body" 'did you mean' "a misspelt member is named"
call POST /v1/fine_tuning/jobs/ftjob-none/exports "${json[@]}" -d '{"exports":["lora"]}'; is "$status" 404 "an unknown job"
exports '"gguf-lora"'; exported gguf-lora failed && ok "a failure is told" || not_ok "a failure is told" "$body"
like "$body" 'trained biases have no place' "with its reason"
call GET "/v1/fine_tuning/jobs/$job/events?limit=5"; like "$body" 'Export gguf-lora failed: ' "and as an event"
reflect=$(dirname "$REFLECTD")/reflect
"$reflect" --url "$url" jobs export "$job" lora,merged:bf16 > "$work/said"; is $? 0 "the command line: an export's end is its own"
unlike "$(< "$work/said")" 'gguf-lora' "and tells what it asked for"
"$reflect" --url "$url" jobs export "$job" merged > "$work/said"; is $? 0 "a format by its short name"
like "$(< "$work/said")" 'merged:bf16 +succeeded' "is told by its whole name"
"$reflect" --url "$url" jobs export "$job" lora,gguf-lora > "$work/said"; is $? 1 "one of two fails"

exports '"merged:f32"'; exported merged:f32 running && ok "an export runs" || not_ok "an export runs" "$body"
for _ in {1..200}; do [[ -e $work/data/jobs/$job/exports/once ]] && break; sleep 0.05; done # its worker is at work, not on its way
stop KILL; start
exported merged:f32 succeeded && ok "after kill -9 it is made anew" || not_ok "after kill -9 it is made anew" "$body"

source=$first
submit next ",\"from_checkpoint\":\"$source\""; is "$status" 200 "a job starts from another's adapter"
like "$body" "\"from_checkpoint\":\"$source\"" "and says so"
await succeeded
submit next ',"from_checkpoint":"ftjob-none"'; is "$status $(value param)" "404 from_checkpoint" "from a job that is not there"
submit next ",\"from_checkpoint\":\"$waiting\""; like "$body" 'has not succeeded' "from a job without an adapter"
submit next ",\"from_checkpoint\":\"$file\""; like "$body" 'is no adapter archive' "from a data file"
submit next ',"from_checkpoint":"ckpt"'; like "$body" 'is no id of a job' "from no id"
mkdir -p "$work/models/other" && echo '{}' > "$work/models/other/config.json"
call POST /v1/fine_tuning/jobs "${json[@]}" -d "{\"model\":\"other\",\"training_file\":\"$file\",\"from_checkpoint\":\"$source\"}"
like "$body" 'was made for the model' "for another base model"
call GET "/v1/fine_tuning/jobs/$source"; named=$(value fine_tuned_model)
submit next ",\"from_checkpoint\":\"$named\""; is "$status" 200 "from an adapter by its model's name"
await succeeded
submit next ',"from_checkpoint":"ft:tiny:local::none"'; is "$status $(value param)" "404 from_checkpoint" "from no model's name"
job=$source; call GET "/v1/fine_tuning/jobs/$job/checkpoints"; checkpoint=$(value id)
submit next ",\"from_checkpoint\":\"$(value fine_tuned_model_checkpoint)\""; is "$status" 200 "from a checkpoint by its name"
await succeeded
submit next ",\"from_checkpoint\":\"$checkpoint\""; is "$status" 200 "from a checkpoint"
await succeeded

job=$first; call GET "/v1/fine_tuning/jobs/$job"; model=$(value fine_tuned_model)
call DELETE "/v1/models/$model"; is "$status" 200 "the adapter is deleted"
call GET "/v1/fine_tuning/jobs/$job/exports"; like "$body" '"data":\[\]' "and its exports with it"
gone "$work/data/jobs/$job/exports" "their files are gone"
stop
is "$code" 0 "the daemon ends well"
finish
