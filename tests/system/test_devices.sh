#!/bin/bash
# Jobs and the devices that they ask for: a GPU takes one job at a time, jobs on the CPU run beside it, what is not
# there is refused, and what a job ran on stands in its object.
. "$(dirname "$0")/lib.sh"
worker=$work/worker
cp "$here/fake_worker" "$worker"
cat > "$worker.devices" <<'LIST'
{"name":"cpu","processor":"avx2","memory":0}
{"name":"opencl:0","processor":"Some GPU","memory":6442450944,"gpu":true}
nonsense
{"name":"cuda:0","processor":"Another","memory":1073741824,"gpu":true}
{"name":"opencl:1","processor":"The CPU again","memory":1073741824,"gpu":false}
LIST
on() { submit "$1" ",\"scheduling\":{\"device\":\"$2\"},\"seed\":$3"; }
ran_on() { call GET "/v1/fine_tuning/jobs/$2"; [[ $body =~ \"restarts\":[0-9]+,\"device\":([^,]*), ]]; is "${BASH_REMATCH[1]:-}" "$1" "$3"; }

list=$("$REFLECTD" --list-devices --worker-path "$worker" --devices cpu,opencl 2> /dev/null)
like "$list" 'cpu +avx2' "--list-devices: the CPU"; like "$list" 'opencl:0 +Some GPU, 6144 MiB' "and a GPU with its memory"
like "$list" 'cuda:0 .*not in .devices' "and what is not to be used"
"$REFLECTD" --devices cpu,gpu --data "$work/other" --models "$work/models" 2> "$work/log"; is "$?" 2 "a device that is none: it does not start"
like "$(< "$work/log")" 'devices: .*gpu' "and says which"

start --worker-path "$worker" --devices cpu,opencl:0,opencl:7
like "$(< "$work/log")" 'devices names opencl:7, which is not there' "one that is not there is logged"
upload train.jsonl
on device-wait opencl:0 1; first=$job; await running && ok "a job on the GPU runs" || not_ok "a job on the GPU runs" "$body"
on device opencl 2; second=$job
on device cpu 3; await succeeded && ok "beside it one on the CPU" || not_ok "beside it one on the CPU" "$body"
ran_on '"cpu"' "$job" "and says so"
on device auto 4; await succeeded && ok "auto takes the CPU while the GPU is busy" || not_ok "auto takes the CPU while the GPU is busy" "$body"
call GET "/v1/fine_tuning/jobs/$second"; is "$(value status)" queued "a second job for the GPU waits"
ran_on null "$second" "and ran nowhere yet"
call POST "/v1/fine_tuning/jobs/$first/cancel"
await succeeded "$second" && ok "then it runs" || not_ok "then it runs" "$body"
ran_on '"opencl:0"' "$second" "on the GPU"
on device auto 5; await succeeded; ran_on '"opencl:0"' "$job" "auto takes a GPU that is free"
on device cuda 6; is "$status $(value code) $(value param)" "400 unsupported_value scheduling.device" "a device that is not to be used is refused"
like "$body" 'it has cpu, opencl:0' "with those that there are"
on device 'opencl:x' 7; is "$status $(value param)" "400 scheduling.device" "so is one that is none"
stop; is "$code" 0 "it stops in order"

start --worker-path "$worker" --devices opencl:0
on device cpu 8; is "$status" 400 "where the CPU is not named, a job for it is refused"
on device auto 9; await succeeded; ran_on '"opencl:0"' "$job" "and auto is the GPU"
stop
start --worker-path "$worker" --devices cpu,opencl:1
on device auto 11; await succeeded; ran_on '"cpu"' "$job" "a device that is no GPU is none for auto"
on device opencl:1 12; await succeeded; ran_on '"opencl:1"' "$job" "but takes jobs that name it"
stop
start --worker-path "$worker" --devices opencl:1
on device auto 16; is "$status $(value param)" "400 scheduling.device" "where auto gets no place at all, it is refused"
stop
rm "$worker.devices"
start --worker-path "$worker"
on device auto 10; await succeeded; ran_on '"cpu"' "$job" "without a GPU auto is the CPU"
stop
finish
