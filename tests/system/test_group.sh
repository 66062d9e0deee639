#!/bin/bash
# Requests that arrive together are stored together: the disk is waited for once, each is answered as if it had come alone, and
# none before it is durable.
. "$(dirname "$0")/lib.sh"
many=40

# submit_many PREFIX [CURL OPTION...]: sends that many submissions at once. What each is answered is in $work/PREFIX.<n>, its status in ....status
submit_many() {
  local prefix=$1 n pids=(); shift
  kill -STOP "$pid"
  for ((n = 0; n < many; n++)); do
    curl -sS --max-time 20 -o "$work/$prefix.$n" -w '%{http_code}\n' -H 'Content-Type: application/json' "$@" \
      -d "{\"model\":\"tiny\",\"training_file\":\"$file\",\"suffix\":\"ok\",\"seed\":$((n == 7 ? -1 : n))}" \
      "$url/v1/fine_tuning/jobs" > "$work/$prefix.$n.status" 2> /dev/null &
    pids+=($!)
  done
  sleep 0.5 # all have been sent by then
  kill -CONT "$pid"
  ${during:-true}
  wait "${pids[@]}"
}
statuses() { sort "$work/$1".*.status | uniq -c | awk '{printf "%s%sx%s", (NR > 1 ? " " : ""), $2, $1}'; }
ids() { grep -hoE '"id":"ftjob-[^"]*"' "$work/$1".[0-9]* | sort -u; }
missing() { # PREFIX: acknowledged ones that are not there
  local id n=0
  while read -r id; do
    [[ -n $id ]] || continue
    call GET "/v1/fine_tuning/jobs/${id//[\"]/}"
    [[ $status == 200 ]] || n=$((n + 1))
  done < <(ids "$1" | sed 's/"id"://')
  echo $n
}

begin() { # the only place has a job that goes on
  start --workers-max 1 --shutdown-grace-s 1 --upload-check-wait-ms 0
  [[ -n ${waiting:-} ]] || { upload train.jsonl; submit wait; waiting=$job; }
  await running "$waiting"; sleep 0.3
}
begin
submit_many first
is "$(statuses first)" "200x$((many - 1)) 400x1" "of many that come together one is refused, and no other"
like "$(< "$work/first.7")" '"param":"seed"' "the one that is wrong"
is "$(ids first | wc -l) $(missing first)" "$((many - 1)) 0" "all the others are there"
job=$(ids first | head -1); job=${job#*:\"}; job=${job%\"}
call GET "/v1/fine_tuning/jobs/$job/events"
like "$body" '"message":"queued".*"message":"Created fine-tuning job"' "what happened to each is told in its order"
call GET '/v1/organization/audit_logs?limit=100'
is "$(grep -o '"type":"jobs.create"[^}]*' <<< "$body" | wc -l)" "$((many + 1))" "and each has its entry in the audit log"

many=6
submit_many same -H 'Idempotency-Key: one'
is "$(statuses same)" "200x1 422x5" "of one key with several bodies that come together the first counts"
many=40

# ---- killed in between ----
die() { sleep 0.0$((RANDOM % 10)); kill -KILL "$pid"; wait "$pid" 2> /dev/null; }
lost=0
for round in 1 2 3; do
  during=die submit_many "kill$round"
  begin
  lost=$((lost + $(missing "kill$round")))
done
is "$lost" 0 "what was acknowledged before a kill is there"
stop
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" 2>&1; is $? 0 "and the store is whole" || cat "$work/fsck"

# ---- a commit that fails ----
shim=${BUILD_DIR:-$root/build}/tests/fault/shim.so
if [[ ! -e $shim ]]; then # a sanitizer's allocator and the shim's do not go together
  ok "a commit that fails # SKIP there is no $shim"
  finish
fi
daemon=$REFLECTD
with_faults() { # WORD...: the next daemon has them in its environment
  printf '#!/bin/sh\nexec env LD_PRELOAD=%q FAULT_CALLS=fsync FAULT_ARM=%q %s %q "$@"\n' "$shim" "$work/armed" "$*" "$daemon" > "$work/reflectd"
  chmod +x "$work/reflectd"; rm -f "$work/armed"
  REFLECTD=$work/reflectd
}
with_faults FAULT_AT=0 "FAULT_COUNT=$work/count"
begin
: > "$work/armed"
submit_many counted
stop
is "$(statuses counted)" "200x$((many - 1)) 400x1" "many come together"
(($(< "$work/count") < many)) && ok "and the disk is waited for less often" || not_ok "and the disk is waited for less often" "$(< "$work/count") times"

rm -f "$work/armed" # the jobs of a file that is still being checked
begin
good=$file; upload slow.jsonl
submit_many checked
is "$(grep -l '"status":"validating_files"' "$work"/checked.[0-9]* | wc -l)" $((many - 1)) "jobs wait for the check of their file"
: > "$work/armed"
for id in $(ids checked | grep -oE 'ftjob-[0-9a-zA-Z]*'); do await queued "$id" || not_ok "$id is queued"; done
stop; file=$good
(($(< "$work/count") < many)) && ok "and are queued together when it ends" || not_ok "and are queued together when it ends" "$(< "$work/count") times"

with_faults FAULT_AT=1 FAULT_ERROR=EIO
begin
: > "$work/armed"
submit_many again
is "$(statuses again)" "200x$((many - 1)) 400x1" "where they cannot be stored together each is tried alone"
like "$(< "$work/log")" 'tried again one by one' "and the log says so"
is "$(ids again | wc -l) $(missing again)" "$((many - 1)) 0" "and is there"
stop

with_faults FAULT_AT=1 FAULT_LAST=all FAULT_ERROR=EIO
begin
: > "$work/armed"
before=$(curl -sS "$url/v1/fine_tuning/jobs?limit=1" | grep -oE '"first_id":"[^"]*"')
submit_many never
is "$(statuses never)" "400x1 500x$((many - 1))" "where none can be stored none is acknowledged"
stop KILL
REFLECTD=$daemon
begin
is "$(curl -sS "$url/v1/fine_tuning/jobs?limit=1" | grep -oE '"first_id":"[^"]*"')" "$before" "and none is there"
stop
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" 2>&1; is $? 0 "the store is whole"
finish
