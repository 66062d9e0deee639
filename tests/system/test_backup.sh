#!/bin/bash
# fsck finds what is wrong in a data folder and nothing else; a backup of a daemon that works is whole; restored, it serves.
. "$(dirname "$0")/lib.sh"
data=$work/data
fsck() { found=$("$REFLECTD" fsck --data "${1:-$data}" 2>&1); code=$?; }

start --workers-max 2
upload train.jsonl; first=$file
submit ok; await succeeded; done_job=$job
submit partial; await failed; failed_job=$job
submit language ',"seed":3'; await succeeded; third=$job
call POST "/v1/fine_tuning/jobs/$done_job/exports" -H "Content-Type: application/json" -d '{"exports":["merged:f16"]}'; like "$status" "^20" "an export"
submit wait; running=$job; await running
fsck; is "$code" 0 "beside a running daemon: no fault"; like "$found" ': 0 faults$' "and it says so"

# ---- a backup while it works ----
"$REFLECTD" backup --data "$data" --to "$work/backup" > "$work/said" 2>&1; is $? 0 "a backup beside a running daemon"
like "$(< "$work/said")" 'copied to .*/backup, 0 faults' "and it says so"
fsck "$work/backup"; is "$code" 0 "fsck of the backup"; like "$found" 'note: .*was running when the daemon died' "notes the job that ran"
"$REFLECTD" backup --data "$data" --to "$work/backup" > "$work/said" 2>&1; is $? 2 "not into a folder that holds something"
like "$(< "$work/said")" 'must be a new folder or an empty one' "and why"
"$REFLECTD" backup --data "$data" > "$work/said" 2>&1; is "$? $(< "$work/said")" "2 reflectd: backup needs --to FOLDER" "a backup needs a place"
"$REFLECTD" restore --from "$work/backup" --data "$data" > /dev/null 2>&1; is $? 2 "nothing is restored over what is there"

# A client that uploads and deletes all the time: each copy is that of one moment.
( while :; do
    id=$(curl -sS -F purpose=fine-tune -F "file=@$work/train.jsonl" "$url/v1/files" 2> /dev/null | grep -o 'file-[0-9a-f]*' | head -1)
    curl -sS -X DELETE "$url/v1/files/$id" > /dev/null 2>&1
  done ) & churn=$!
for i in 1 2 3; do
  "$REFLECTD" backup --data "$data" --to "$work/busy$i" > "$work/said" 2>&1 || not_ok "a busy daemon: backup $i" "$(< "$work/said")"
  fsck; is "$code" 0 "a busy daemon: fsck $i"
done
kill $churn; wait $churn 2> /dev/null
ls -d "$work"/*.partial-* 2>/dev/null && not_ok "nothing half is left" || ok "nothing half is left"

# ---- the folder is lost, and restored ----
stop KILL; mv "$data" "$work/lost"
mkdir "$data"; "$REFLECTD" restore --from "$work/backup" --data "$data" > "$work/said" 2>&1; is $? 0 "restored into an empty folder"
start --workers-max 2
call GET "/v1/files/$first/content"; is "$status $body" "200 $(< "$work/train.jsonl")" "an upload is there"
call GET "/v1/fine_tuning/jobs/$done_job/artifacts/adapter_model.safetensors"
is "$status $body" "200 adapter weights of $done_job" "an adapter too"
call GET "/v1/fine_tuning/jobs/$third/checkpoints"; like "$body" 'step_number":3' "checkpoints too"
call GET "/v1/fine_tuning/jobs/$done_job/logs"; like "$body" 'fake worker' "logs too"
await running "$running" && ok "what ran then runs again" || not_ok "what ran then runs again" "$body"
call POST "/v1/fine_tuning/jobs/$running/cancel"; await cancelled "$running"
fsck; is "$code" 0 "and fsck finds nothing"; stop
fsck; is "$code" 0 "nor in a folder that is not used"; unlike "$found" note "with nothing to note"

# ---- what is wrong is found ----
# damage COMMAND...: runs it in a copy of the folder that is checked next.
damage() { rm -rf "$work/hurt"; cp -a "$data" "$work/hurt"; (cd "$work/hurt" && eval "$1"); }
expect() { damage "$1"; fsck "$work/hurt"; is "$code" 1 "$3: a fault"; like "$found" "$2" "$3: named"; }
artifact=jobs/$done_job/1/adapter_model.safetensors
expect "echo x >> files/$first" "files/$first .*bytes" "a longer upload"
expect "printf X | dd of=$artifact conv=notrunc 2>/dev/null" "$artifact \($done_job\): .*SHA-256" "another byte in an adapter"
expect "rm $artifact" "$artifact.*No such file" "an adapter that is gone"
expect "rm -r jobs/$third/1/checkpoint-3" "checkpoint-3.*is gone" "a checkpoint that is gone"
expect "mkdir jobs/$done_job/7" "jobs/$done_job/7: it belongs to no run" "a run that was never"
expect "mkdir jobs/ftjob-of-nobody" "jobs/ftjob-of-nobody: it belongs to no job" "a job that was never"
expect "mkdir -p jobs/$done_job/exports/99" "exports/99: no export" "an export that was never"
expect "touch jobs/$failed_job/1/.tmp-0123" ".tmp-0123: a temporary file" "a temporary file"
expect "rm store.id" "store.id: is missing" "no store.id"
expect "head -c 4096 /dev/urandom | dd of=reflectd.db bs=4096 seek=3 conv=notrunc 2>/dev/null" "the database" "a damaged page"
damage "touch files/file-of-nobody files/.tmp-1"; fsck "$work/hurt"
is "$code" 0 "files that no row names are put away by the next start"
like "$found" 'note: files/file-of-nobody.*lost\+found' "which is noted"; like "$found" 'note: files/.tmp-1' "an upload that was cut off too"
damage "rm reflectd.db"; fsck "$work/hurt"; is "$code" 2 "without a database nothing can be checked"
like "$found" 'reflectd.db is missing or empty' "and why"
damage "rm $artifact"; "$REFLECTD" backup --data "$work/hurt" --to "$work/bad" > "$work/said" 2>&1; is $? 1 "a backup of a damaged folder is refused"
like "$(< "$work/said")" "adapter_model.safetensors" "and names what is missing"
[[ -e $work/bad ]] && not_ok "and leaves nothing" || ok "and leaves nothing"
finish
