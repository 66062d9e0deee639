#!/bin/bash
# What is kept, and for how long: a checkpoint that its job keeps no more stays while a job that has not ended starts from
# it; and the folder of a job that was deleted is no fault while it waits to be removed, which the next start does.
. "$(dirname "$0")/lib.sh"
checkpoints() { call GET "/v1/fine_tuning/jobs/$keeps/checkpoints"; steps=$(grep -o '"step_number":[0-9]*' <<< "$body" | cut -d: -f2 | sort -n | tr '\n' ' '); }
# next STEP: orders a checkpoint and waits for it.
next() { call POST "/v1/fine_tuning/jobs/$keeps/checkpoint"; for _ in {1..100}; do checkpoints; [[ " $steps" == *" $1 "* ]] && return; sleep 0.05; done; not_ok "checkpoint $1" "$body"; }

start --workers-max 1
upload train.jsonl
submit keeps; keeps=$job; await running "$keeps"
for _ in {1..100}; do checkpoints; [[ $steps == "1 " ]] && break; sleep 0.05; done
first=$(value id); like "$first" '^ftckpt-' "a running job has a checkpoint"
submit ok ",\"from_checkpoint\":\"$first\""; starts=$job; is "$status" 200 "a job that waits starts from it"
submit ok ",\"from_checkpoint\":\"$first\""; other=$job; call POST "/v1/fine_tuning/jobs/$other/pause"; is "$(value status)" paused "and one that is paused"
next 2; is "$steps" "1 2 " "its job keeps the newest only, and the one that is started from"
[[ -e $work/data/jobs/$keeps/1/checkpoint-1/adapter_model.safetensors ]] && ok "its bytes are there" || not_ok "its bytes are there"
next 3; is "$steps" "1 3 " "one that nobody starts from goes"
gone "$work/data/jobs/$keeps/1/checkpoint-2" "with its bytes"
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" 2>&1; is $? 0 "fsck finds no fault in that"
call POST "/v1/fine_tuning/jobs/$starts/cancel"; next 4; like "$steps" '^1 ' "while one of them has not ended it stays"
call POST "/v1/fine_tuning/jobs/$other/cancel"; next 5; unlike "$steps" '^1 ' "when both have it goes"
gone "$work/data/jobs/$keeps/1/checkpoint-1" "with its bytes"
submit ok ",\"from_checkpoint\":\"$first\""; is "$status $(value param)" "400 from_checkpoint" "nobody starts from it any more"

# ---- a folder that is being removed ----
call POST "/v1/fine_tuning/jobs/$keeps/cancel"; await cancelled "$keeps"
folder=$work/data/jobs/$keeps
for round in 1 2 3; do # many files, so that the kill comes first
  mkdir -p "$folder/1/many"; (cd "$folder/1/many" && seq 8000 | xargs touch)
  ((round == 1)) && call DELETE "/v1/fine_tuning/jobs/$keeps"
  stop KILL
  [[ -e $folder ]] && break
  start --workers-max 1
done
is "$status" 200 "a job is deleted, and the daemon killed"
[[ -e $folder ]] && ok "before all of its bytes are gone" || not_ok "before all of its bytes are gone"
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" 2>&1; code=$?
is "$code" 0 "fsck finds no fault in what is noted to be removed"; unlike "$(< "$work/fsck")" "$keeps" "nor names it"
mkdir "$work/data/jobs/ftjob-of-nobody"; touch -d '1 hour ago' "$work/data/jobs/ftjob-of-nobody"
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" 2>&1; is $? 1 "a folder beside it that nobody noted is one"; rmdir "$work/data/jobs/ftjob-of-nobody"
start --workers-max 1; for _ in {1..20}; do [[ -e $folder ]] && sleep 1; done; gone "$folder" "the next start removes it"
stop; "$REFLECTD" fsck --data "$work/data" > "$work/fsck" 2>&1; is $? 0 "and the data folder is in order"
finish
