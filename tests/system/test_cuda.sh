#!/bin/bash
# Jobs on a GPU of NVIDIA, or on the libraries that stand in for CUDA where there is none: it is listed, trains, runs out
# of memory and is lost, and the daemon goes on.
. "$(dirname "$0")/lib.sh"
build=$(dirname "$REFLECTD")
golden_model bert-hra "$work/models/golden"
golden_model mixtral-hra "$work/models/experts"
standin() { # file, settings: a worker with the stand-in
  printf '#!/bin/bash\nexport LD_LIBRARY_PATH=%q STANDIN=%q\nexec %q "$@"\n' "$build/tests/worker/backend/cuda/standin" \
    "$2" "$build/reflect-worker" > "$work/$1" && chmod +x "$work/$1"
}
on() { # suffix, device[, model]
  call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' \
    -d "{\"model\":\"${3:-golden}\",\"training_file\":\"$file\",\"suffix\":\"$1\",\"scheduling\":{\"device\":\"$2\"},\"hyperparameters\":{\"n_epochs\":1,\"batch_size\":2,\"max_seq_length\":8}}"
  job=$(value id)
  [ "$status" = 200 ] || { not_ok "job $1 is accepted" "$body"; finish; }
}
train() { upload train.jsonl $'{"text":"w1 w2","label":"x"}\n{"text":"w3","label":"y"}\n{"text":"w4 w5","label":"x"}\n{"text":"w6","label":"y"}'; }

[ -e "$build/tests/worker/backend/cuda/standin/libcuda.so.1" ] || make -s -C "$root" tools > /dev/null
standin none devices=0; standin good ""; standin lost lost=40; standin small fail_alloc=8
"$REFLECTD" --list-devices --worker-path "$work/none" > "$work/list" 2> "$work/log"
like "$(< "$work/log")" 'no CUDA: CUDA finds no GPU' "without a GPU the list says so"
like "$(< "$work/list")" 'cpu ' "and has the CPU"
list=$("$REFLECTD" --list-devices --worker-path "$work/good" 2> /dev/null)
like "$list" 'cuda:0 +Stand-in 0 \(compute capability 9.0\), 4096 MiB' "a GPU is listed with its memory"

start --worker-path "$work/good" --devices cpu,cuda:0; train
on trains cuda:0; await succeeded "$job" 600 && ok "a job trains on it" || not_ok "a job trains on it" "$body"
like "$body" '"device":"cuda:0"' "and says so"
on any auto; await succeeded "$job" 600; like "$body" '"device":"cuda:0"' "auto takes the GPU"
on experts auto experts; await succeeded "$job" 600; like "$body" '"device":"cpu"' "where auto chose the GPU, what it does not have runs on the CPU"
on experts cuda:0 experts; await failed "$job" 600
like "$body" '"code":"unsupported_value".*cuda:0 does not have mixtures of experts yet; the CPU has them' "and is refused where the GPU was named"
stop; is "$code" 0 "the daemon stops in order"

start --worker-path "$work/lost" --devices cpu,cuda:0
on lost cuda; await failed "$job" 600 && ok "a GPU that is lost fails the job" || not_ok "a GPU that is lost fails the job" "$body"
like "$body" '"code":"device_lost".*CUDA_ERROR_LAUNCH_FAILED' "with a code of its own and CUDA's name for it"
on after cpu; await succeeded "$job" 600 && ok "the next job runs" || not_ok "the next job runs" "$body"
stop
start --worker-path "$work/small" --devices cpu,cuda:0
on small cuda; await failed "$job" 600 && ok "a GPU without memory fails the job" || not_ok "a GPU without memory fails the job" "$body"
like "$body" '"code":"out_of_memory".*smaller batch_size' "and the error says what to lower"
on elsewhere auto; await succeeded "$job" 600; like "$body" '"device":"cpu"' "a job that said auto goes on with the CPU"
stop
finish
