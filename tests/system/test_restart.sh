#!/bin/bash
# What was accepted survives: kill -9 of the daemon, SIGTERM, a second SIGTERM, a second daemon.
. "$(dirname "$0")/lib.sh"
# A worker dies with its daemon, but for one that took that back.
printf '#!/bin/bash\nexec setpriv --pdeathsig clear "%s" "$@"\n' "$here/fake_worker" > "$work/lasting"; chmod +x "$work/lasting"
start --worker-path "$work/lasting"
upload train.jsonl
submit wait; running=$job; await running
queued=()
for n in 1 2 3; do submit ok ",\"seed\":$n"; queued+=("$job"); done
submit ok ',"seed":4,"scheduling":{"priority":5}'; first=$job
worker=$(pgrep -P "$pid" -f fake_worker | head -1)
"$REFLECTD" --data "$work/data" --models "$work/models" --listen 127.0.0.1:0 --worker-path "$here/fake_worker" 2> "$work/second"
is $? 2 "a second daemon on the same data is refused"; like "$(< "$work/second")" 'another reflectd uses' "and says why"
kill -STOP "$worker" # so that it is still there when the next daemon looks
stop KILL
alive "$worker" && ok "the worker outlives a killed daemon here" || not_ok "the worker outlives a killed daemon here"
mkdir -p "$work/data/files" && echo half > "$work/data/files/.tmp-left" && echo lost > "$work/data/files/file-lost"

start
alive "$worker" && not_ok "the next daemon kills it" || ok "the next daemon kills it"
is "$(find "$work/data/files" -type f | wc -l)" 1 "bytes without a row are swept"
call GET "/v1/fine_tuning/jobs/$running"; is "$(value restarts)" 1 "the running job was queued again"
call GET "/v1/fine_tuning/jobs/$running/events?limit=100"; like "$body" 'The server stopped while the job ran' "its events say so"
await running "$running" && ok "and runs again" || not_ok "and runs again" "$body"
call POST "/v1/fine_tuning/jobs/$running/cancel"
for id in "$first" "${queued[@]}"; do await succeeded "$id" && ok "$id succeeds" || not_ok "$id succeeds" "$body"; done
call GET "/v1/fine_tuning/jobs/$first"; early=$(value started_at)
call GET "/v1/fine_tuning/jobs/${queued[0]}"; ((early <= $(value started_at))) && ok "the higher priority went first" || not_ok "the higher priority went first"
call GET '/v1/fine_tuning/jobs?limit=2'; like "$body" '"has_more":true' "pages of jobs"
seen=0 after=
while call GET "/v1/fine_tuning/jobs?limit=1$after"; [[ $body == *'"id":"ftjob'* ]]; do
  seen=$((seen + 1)); after="&after=$(value last_id)"
  [[ $body == *'"has_more":false'* ]] && break
done
is "$seen" 5 "a page at a time sees each job once"

stop; start --shutdown-grace-s 1
submit deaf; running=$job; await running
submit ok; waiting=$job
kill -TERM "$pid"; sleep 0.15
call GET /readyz; is "$status $(value code)" "503 draining" "SIGTERM: not ready"
call GET /livez; is "$status" 200 "but alive"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"tiny\",\"training_file\":\"$file\"}"
is "$status" 503 "no new jobs"; like "$headers" 'Retry-After' "with Retry-After"
wait "$pid"; is $? 0 "SIGTERM: exit 0"; pid=
start --shutdown-grace-s 1
call GET "/v1/fine_tuning/jobs/$running/events?limit=100"; like "$body" 'shutting down: the job is queued again' "the drained job says why it is queued again"
await running "$running" && ok "and runs again" || not_ok "and runs again" "$body"
call POST "/v1/fine_tuning/jobs/$running/cancel"
await succeeded "$waiting" && ok "the queued one too" || not_ok "the queued one too" "$body"

submit deaf; await running
kill -TERM "$pid"; sleep 0.3; kill -TERM "$pid"; began=$SECONDS
wait "$pid"; is $? 0 "a second SIGTERM ends it"; pid=
((SECONDS - began < 3)) && ok "at once" || not_ok "at once"
start; call GET "/v1/fine_tuning/jobs/$job"; like "$(value status)" 'queued|running' "the job is still there"
stop KILL

head -c 4096 /dev/urandom | dd of="$work/data/reflectd.db" bs=4096 seek=1 conv=notrunc 2>/dev/null
"$REFLECTD" --data "$work/data" --models "$work/models" --listen 127.0.0.1:0 --worker-path "$here/fake_worker" 2> "$work/damaged"
[[ $? != 0 ]] && ok "a damaged database is refused" || not_ok "a damaged database is refused"
like "$(< "$work/damaged")" 'damaged|malformed' "and the log says so"
finish
