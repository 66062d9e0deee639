#!/bin/bash
# The whole of it with the real worker: a job that is paused, drained, or whose daemon or worker is killed has the files
# of the same job in one piece.
. "$(dirname "$0")/lib.sh"
worker=$(dirname "$REFLECTD")/reflect-worker

# The golden BERT, with dropout and words of its own.
model=$work/models/bert; mkdir -p "$model"
golden=$root/tests/golden/cases/bert-hra/model
sed 's/\("[a-z_]*dropout_prob":\) 0\b/\1 0.1/' "$golden/config.json" > "$model/config.json"
cp "$golden/model.safetensors" "$model/"
{ printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n'; printf 'w%d\n' {0..93}; } > "$model/vocab.txt"
{ echo text,label; for i in {0..599}; do echo "w$((i % 7)) w$((20 + i % 3)) w$((i % 11)),$((i % 3 ? 1 : 0))x"; done; } > "$work/train.csv"

begin() { start --worker-path "$worker" --workers-max 1 --threads 1 "$@"; }
create() {
  call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"bert\",\"training_file\":\"$file\",\"seed\":3,
    \"adapter\":{\"r\":4,\"target_modules\":\"all-linear\"},\"checkpointing\":{\"every_steps\":200,\"keep_last\":2},\"metadata\":{\"n\":\"$RANDOM$RANDOM\"},
    \"method\":{\"type\":\"supervised\",\"supervised\":{\"hyperparameters\":{\"n_epochs\":$epochs,\"batch_size\":4,\"learning_rate\":0.01}}}}"
  job=$(value id); [[ $status == 200 ]] || { not_ok "a job" "$body"; finish; }
}
# made: the hashes of what the job has made, by name.
made() { call GET "/v1/fine_tuning/jobs/$job/artifacts"; grep -o '"name":"[^"]*"\|"sha256":"[^"]*"' <<< "$body" | paste - - | grep -E 'safetensors|csv|adapter.tar|jsonl' | sort; }
modules() { call GET "/v1/fine_tuning/jobs/$job/telemetry"; echo "${body#*has_more}"; }
same() { # DESCRIPTION
  await succeeded "$job" 900 && ok "$1: succeeds" || { not_ok "$1: succeeds" "$body"; return; }
  is "$(made)" "$want" "$1: every file is that of the job in one piece"
  is "$(modules)" "$telemetry" "$1: the same telemetry by module"
  call GET "/v1/fine_tuning/jobs/$job/events?limit=1000"
  is "$(grep -o '"type":"metrics"' <<< "$body" | wc -l)" "$metrics" "$1: as many metrics"
  like "$body" 'goes on' "$1: it went on"
  call GET "/v1/fine_tuning/jobs/$job/checkpoints?limit=100"
  is "$(grep -o '"step_number":[0-9]*' <<< "$body" | tr '\n' ' ')" "$checkpoints" "$1: the same checkpoints"
}

epochs=${EPOCHS:-15}
begin
call POST /v1/files -F purpose=fine-tune -F "file=@$work/train.csv"; file=$(value id)
is "$(value status)" processed "the data are good"
# It must last, also where a processor is fast, so that something can happen in its middle.
began=$(date +%s%N); create; await succeeded "$job" 900
if (($(date +%s%N) - began < 2000000000)); then epochs=$((epochs * 4)); create; fi
await succeeded "$job" 900 && ok "a job in one piece" || { not_ok "a job in one piece" "$body"; finish; }
want=$(made) total=$((150 * epochs))
like "$want" 'adapter_model.safetensors' "has its files"
telemetry=$(modules); like "$telemetry" ',?'"$total"'\],"modules":\[\{"name":"bert.encoder' "and telemetry up to its last step"
call GET "/v1/fine_tuning/jobs/$job/events?limit=1000"; metrics=$(grep -o '"type":"metrics"' <<< "$body" | wc -l)
call GET "/v1/fine_tuning/jobs/$job/checkpoints?limit=100"; checkpoints=$(grep -o '"step_number":[0-9]*' <<< "$body" | tr '\n' ' ')

create; reach $((total / 4)); call POST "/v1/fine_tuning/jobs/$job/pause"
await paused && ok "paused" || not_ok "paused" "$body"
at=$(step); ((at >= total / 4 && at < total)) && ok "in the middle" || not_ok "in the middle" "$at of $total"
call POST "/v1/fine_tuning/jobs/$job/resume"; same "paused"
create; reach $((total / 3)); stop TERM; is "$code" 0 "SIGTERM in the middle"; begin; same "drained"
create; reach $((total / 5)); stop KILL; sleep 0.5; begin; reach $((total / 2)); stop KILL; sleep 0.5; begin; same "daemon killed twice"
create; reach $((total / 3)); call POST "/v1/fine_tuning/jobs/$job/checkpoint"; is "$status" 200 "a checkpoint is ordered"
for _ in {1..100}; do [[ $(find "$work/data/jobs/$job" -name 'state-*') ]] && break; sleep 0.05; done
kill -KILL "$(pgrep -P "$pid" -f reflect-worker | head -1)"
await succeeded "$job" 900; is "$(made)" "$want" "worker killed: every file is that of the job in one piece"
stop
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "the data folder is in order" || not_ok "the data folder is in order" "$(< "$work/fsck")"
finish
