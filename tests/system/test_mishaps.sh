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

# ---- deleting: rows at once, bytes beside the loop; a checkpoint of a job that was cancelled too ----
gone() { local n=50; while ((n-- > 0)); do [[ -e $1 ]] || return 0; sleep 0.1; done; return 1; }
bytes=$work/data/files/$file
submit error; await failed
call GET "/v1/fine_tuning/jobs/$job/checkpoints"; like "$body" '"data":\[\]' "a job that failed early has no checkpoint"
submit partial; await failed
call GET "/v1/fine_tuning/jobs/$job/checkpoints"
name=$(value fine_tuned_model_checkpoint); like "$name" ':ckpt-step-2$' "a failed job keeps its checkpoints"
[[ -e $work/data/jobs/$job/1/checkpoint-2 ]] && ok "on the disk too" || not_ok "on the disk too"
call DELETE "/v1/models/$name"; is "$status $(value deleted)" "200 true" "a checkpoint can be deleted by its name"
call DELETE "/v1/models/$name"; is "$status" 404 "once"
call DELETE "/v1/models/${name%2}1"; is "$status" 200 "and the last one"
gone "$work/data/jobs/$job/1" && ok "with which all goes that the run left" || not_ok "with which all goes that the run left" "$(find "$work/data/jobs/$job")"
submit wait; await running
call DELETE "/v1/files/$file"; is "$status $(value code)" "409 file_in_use" "a file that a job needs stays"
call POST "/v1/fine_tuning/jobs/$job/cancel"; await cancelled
call DELETE "/v1/files/$file"; is "$status" 200 "then it is deleted"
gone "$bytes" && ok "and its bytes" || not_ok "and its bytes"
upload train.jsonl; submit ok; await succeeded; finished=$job

# ---- one daemon a folder, whatever files are deleted ----
rm -f "$work/data/lock" "$work/data/store.id"
"$REFLECTD" --data "$work/data" --models "$work/models" --listen 127.0.0.1:0 --worker-path "$here/fake_worker" 2> "$work/second"
is $? 2 "a second daemon is refused"; like "$(< "$work/second")" 'another reflectd uses' "and says why"

# ---- a store that is gone, or older than the folder ----
refused() { # DESCRIPTION: the daemon does not start, and nothing is touched
  local before after
  before=$(find "$work/data/files" "$work/data/jobs" -type f | sort)
  "$REFLECTD" --data "$work/data" --models "$work/models" --listen 127.0.0.1:0 --worker-path "$here/fake_worker" 2> "$work/second"
  is $? 2 "$1: the daemon does not start"
  like "$(< "$work/second")" 'put the database back from a backup' "$1: and says what to do"
  after=$(find "$work/data/files" "$work/data/jobs" -type f | sort)
  is "$after" "$before" "$1: nothing is touched"
}
stop; mkdir "$work/backup"; cp "$work"/data/reflectd.db* "$work/backup"
start
upload newer.jsonl; newer=$file
submit ok ',"seed":7'; await succeeded
stop; mkdir "$work/good"; mv "$work"/data/reflectd.db* "$work/good"
refused "no database"
: > "$work/data/reflectd.db"; refused "an empty database"
rm -f "$work"/data/reflectd.db*; "$REFLECTD" --data "$work/other" --models "$work/models" --listen 127.0.0.1:0 --worker-path "$here/fake_worker" 2> /dev/null &
other=$!; sleep 0.5; kill "$other"; wait "$other"
cp "$work"/other/reflectd.db "$work/data/"; refused "the database of another folder"
rm -f "$work"/data/reflectd.db*; cp "$work"/backup/* "$work/data/"
start
[[ -e $work/data/lost+found/$newer ]] && ok "what an older database does not know is kept aside" || not_ok "what an older database does not know is kept aside" "$(find "$work/data")"
like "$(< "$work/log")" "knows nothing of files/$newer" "and the log says so"
call GET "/v1/fine_tuning/jobs/$finished"; is "$(value status)" succeeded "what it knows is there"
stop; rm -f "$work"/data/reflectd.db*; cp "$work"/good/* "$work/data/"; mv "$work/data/lost+found/$newer" "$work/data/files/"
start; call GET "/v1/files/$newer/content"; is "$status" 200 "and the newer one is as it was"
stop
finish
