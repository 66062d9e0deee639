#!/bin/bash
# What the host lacks for a while costs no job anything: the queue waits, /readyz says why, and all goes on by itself.
. "$(dirname "$0")/lib.sh"
worker=$work/worker
cp "$here/fake_worker" "$worker"
ready() { local n=100; while ((n-- > 0)); do call GET /readyz; [[ $status == 200 ]] && return 0; sleep 0.1; done; return 1; }
# waits NAME PATTERN: for a while nothing fails and nothing is lost, and /readyz gives the reason.
waits() {
  local n=30
  while ((n-- > 0)); do call GET /readyz; [[ $status == 503 ]] && break; sleep 0.1; done
  is "$status $(value code)" "503 not_ready" "$1: not ready"; like "$(value message)" "$2" "$1: and why"
  sleep 1.5
  call GET "/v1/fine_tuning/jobs?limit=20"; unlike "$body" '"status":"failed"' "$1: no job fails"
  call GET "/v1/fine_tuning/jobs/$job"; is "$(value status) $(value restarts)" "queued 0" "$1: they wait"
}
goes_on() {
  await succeeded "$job" 200 && ok "$1: then they run" || not_ok "$1: then they run" "$body"
  ready && ok "$1: ready" || not_ok "$1: ready" "$body"
}

start --worker-path "$worker" --threads 2 --matmul openblas
upload train.jsonl
ready && ok "ready" || not_ok "ready" "$body"

mv "$work/models" "$work/away"; submit ok
is "$status $(value code)" "503 not_ready" "no models folder: a job is refused, to come again"
mv "$work/away" "$work/models"
submit wait; blocker=$job; await running
submit ok; submit ok ',"seed":2'
mv "$work/models" "$work/away"; call POST "/v1/fine_tuning/jobs/$blocker/cancel"
waits "no models folder" 'models folder .* cannot be read'
mv "$work/away" "$work/models"; goes_on "no models folder"

# A mount that is not there leaves an empty folder; a model that was taken away leaves the others.
submit wait; blocker=$job; await running
submit ok ',"seed":3'
mkdir "$work/away"; mv "$work"/models/* "$work/away/"; call POST "/v1/fine_tuning/jobs/$blocker/cancel"
waits "no model" 'holds no model'
mv "$work"/away/* "$work/models/"; rmdir "$work/away"; goes_on "no model"
submit wait; blocker=$job; await running
submit ok ',"seed":5'
chmod 644 "$worker"; call POST "/v1/fine_tuning/jobs/$blocker/cancel"
waits "a worker that may not be run" 'cannot be run: Permission denied'
upload unchecked.jsonl; is "$(value status)" uploaded "a file waits for its check too"
chmod 755 "$worker"; goes_on "a worker that may not be run"
for _ in {1..50}; do call GET "/v1/files/$file"; [[ $(value status) == processed ]] && break; sleep 0.1; done
is "$(value status)" processed "which is made then"

submit wait; blocker=$job; await running
submit ok ',"seed":6'
printf '\177ELF half a file' > "$work/half"; chmod 755 "$work/half"; mv "$work/half" "$worker"
call POST "/v1/fine_tuning/jobs/$blocker/cancel"
waits "half a worker" 'could not be executed'
cp "$here/fake_worker" "$work/whole"; mv "$work/whole" "$worker"; goes_on "half a worker"

submit wait; blocker=$job; await running
submit ok ',"seed":7'
printf '#!/bin/bash\necho "libm.so.6: cannot open shared object file" >&2\nexit 127\n' > "$work/half"; chmod 755 "$work/half"; mv "$work/half" "$worker"
call POST "/v1/fine_tuning/jobs/$blocker/cancel"
n=30; while ((n-- > 0)); do call GET /readyz; [[ $status == 503 ]] && break; sleep 0.1; done
like "$(value message)" 'could not be executed .*libm.so.6' "a library that is missing: why"
sleep 1; call GET "/v1/fine_tuning/jobs/$job"; like "$(value status)" 'queued|running' "a library that is missing: nothing fails"
cp "$here/fake_worker" "$work/whole"; mv "$work/whole" "$worker"; goes_on "a library that is missing"

submit wait; blocker=$job; await running
mkdir "$work/models/other" && echo '{}' > "$work/models/other/config.json"
submit ok ',"seed":4'; mv "$work/models/tiny" "$work/tiny"; call POST "/v1/fine_tuning/jobs/$blocker/cancel"
await failed && like "$body" model_not_found "a model that was deleted fails its job" || not_ok "a model that was deleted fails its job" "$body"
mv "$work/tiny" "$work/models/tiny"

# ---- what the operator allows ----
submit env ',"seed":8,"scheduling":{"threads":64}'; is "$status $(value param)" "400 scheduling.threads" "more threads than the operator gives are refused"
like "$body" 'scheduling.threads is 64; a job has at most 2 on this server' "with how many there are"
submit env ',"seed":8,"scheduling":{"threads":2}'; await succeeded
call GET "/v1/fine_tuning/jobs/$job/logs"; like "$body" 'threads 2$' "a job takes no more threads than the operator gives"
like "$body" 'matmul openblas' "a job that does not say has the operator's matmul"
call GET "/v1/fine_tuning/jobs/$job/artifacts/env.txt"; like "$body" 'OPENBLAS_NUM_THREADS=1' "OpenBLAS starts no threads"
submit ok ',"seed":10,"scheduling":{"matmul":"native"}'; await succeeded
call GET "/v1/fine_tuning/jobs/$job/logs"; like "$body" 'matmul native' "one that says has its own"

# ---- the disk was too full for a run ----
submit full; await queued
call GET "/v1/fine_tuning/jobs/$job/events?limit=20"; like "$body" 'The disk is full: the job is queued again and waits for room' "a full disk: the job waits"
submit ok ',"seed":9'; await succeeded && ok "others do not" || not_ok "others do not" "$body"

# ---- somebody else's lock on the database ----
call GET /v1/fine_tuning/jobs
submit wait; running=$job; await running
locked() { # SECONDS: waits for SQLite's lock of writers, which is byte 120 of the shared file, and holds it
  perl -MFcntl -e 'open(F, "+<", $ARGV[0]) or die; my $lock = pack("s s x4 q q l x4", F_WRLCK, 0, 120, 1, 0);
    fcntl(F, F_SETLKW, $lock) or die $!; print "locked\n"; close STDOUT; sleep $ARGV[1]' \
    "$work/data/reflectd.db-shm" "$1"
}
exec 8< <(locked 3); read -r -u 8 word; is "$word" locked "the lock is held"
slowest=0
for _ in {1..12}; do
  took=$(curl -sS -o /dev/null -w '%{time_total}' "$url/livez"); took=${took/./}; took=$((10#$took / 1000))
  ((took > slowest)) && slowest=$took
done
((slowest < 400)) && ok "nobody waits for it" || not_ok "nobody waits for it" "$slowest ms"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"tiny\",\"training_file\":\"$file\"}"
is "$status $(value code)" "503 database_busy" "a job is refused, to come again"; like "$headers" 'Retry-After' "with Retry-After"
exec 8<&-; sleep 3
call GET "/v1/fine_tuning/jobs/$running"; is "$(value status) $(value restarts)" "running 0" "the run went on"
call POST "/v1/fine_tuning/jobs/$running/cancel"; await cancelled && ok "and is as it was" || not_ok "and is as it was" "$body"
submit ok ',"seed":10'; await succeeded && ok "others run" || not_ok "others run" "$body"
stop; is "$code" 0 "it stops in order"
finish
