#!/bin/bash
# The sandbox of workers: what one that was taken over would try is refused, each layer matters, and real jobs, exports,
# checks and a device run in it.
. "$(dirname "$0")/lib.sh"
export REFLECTD_SANDBOX=auto
bin=$(dirname "$REFLECTD") worker=$(dirname "$REFLECTD")/reflect-worker sandbox=$(dirname "$REFLECTD")/reflect-sandbox
probe=$("$sandbox" --probe)
has() { [[ $'\n'$probe == *$'\n'"$1 yes"* ]]; }
missing() { local l; for l in limits namespaces capabilities landlock seccomp; do has "$l" || echo --without "$l"; done; }
like "$probe" 'parent yes.*descriptors yes.*environment yes.*limits' "--probe names the layers"
instrumented=; [[ $probe == *"instrumented build"* ]] && instrumented=1

# escapes [OPTION...]: sets out to what was not refused.
escapes() { out=$("$worker" --sandbox-test "$@" 2>&1); code=$?; all=$out; out=$(grep -v '^refused' <<< "$out"); }
if has landlock && has seccomp && has namespaces && [[ -z $instrumented ]]; then
  escapes; is "$code" 0 "every escape is refused"; like "$all" '^.*8[0-9] of 8[0-9] escapes were refused' "all of them"
  while read -r layer escape; do
    escapes --without "$layer"; like "$code $out" "^1.*NOT REFUSED: $escape" "without $layer: $escape"
  done <<'LIST'
descriptors read a descriptor that the daemon left open
environment read a secret in the environment
limits take more memory than its limit
limits write a file larger than its limit
limits leave a core file
namespaces read the machine's connections
landlock read a file outside
landlock read another job's adapter
landlock write the base model
landlock cut the training file
seccomp make a process
seccomp make a pair of sockets
seccomp outlive the daemon
seccomp take shared memory, which no limit counts
seccomp io_uring
LIST
  if [[ $(id -u) == 0 ]]; then
    escapes --without capabilities; like "$out" "NOT REFUSED: write another user's file" "without capabilities: write another user's file"
  fi
  escapes --without landlock --without seccomp; unlike "$out" "daemon's memory|daemon's environment|trace the daemon" "its memory a daemon keeps without these two"
  escapes --without landlock --without seccomp --without namespaces --without capabilities --without hidden
  like "$out" "NOT REFUSED: read the daemon's memory.*NOT REFUSED: trace the daemon.*NOT REFUSED: connect to the daemon" "without any it is all open"
else
  ok "every escape is refused # SKIP this machine or build lacks layers: $(missing)"
fi
bash -c "'$sandbox' --without all -- /bin/sleep 60 & echo \$! > '$work/child'; sleep 0.3; kill -KILL \$\$" 2>/dev/null
sleep 0.2; alive "$(< "$work/child")" && not_ok "a worker dies with its daemon" || ok "a worker dies with its daemon"
"$sandbox" --read relative -- /bin/true 2> "$work/said"; is "$? $(< "$work/said")" '2 reflect-sandbox: --read: relative is no absolute path' "a wrong option is told"
ASAN_OPTIONS=detect_leaks=0 "$sandbox" -- "$work/none" 2> /dev/null; is "$?" 127 "so is a program that is not there"

# The runtime of a sanitizer reads what the sandbox hides (/proc): with it, workers run without one in the other tests.
if [[ -n $instrumented ]]; then
  ok "jobs in the sandbox # SKIP an instrumented build"
  finish
fi

# ---- a daemon
cp -r "$root"/tests/golden/cases/bert-hra/model "$work/models/encoder"
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' good bad a b > "$work/models/encoder/vocab.txt"
# As a cache of models has it: a folder of links.
mkdir -p "$work/models/models--org--linked/"{blobs,snapshots/1}
for name in config.json model.safetensors vocab.txt; do
  cp "$work/models/encoder/$name" "$work/models/models--org--linked/blobs/$name"
  ln -s "../../blobs/$name" "$work/models/models--org--linked/snapshots/1/$name"
done
# And a pipeline in it, whose components are folders of links.
mkdir -p "$work/models/models--org--painter/"{blobs,snapshots/1}
(cd "$root/tests/worker/diffusion/pipeline" && find . -type f) | while read -r name; do
  blob=${name#./} blob=${blob//\//-} up=$(tr -cd / <<< "${name#./}" | sed 's|/|../|g')
  mkdir -p "$(dirname "$work/models/models--org--painter/snapshots/1/$name")"
  cp "$root/tests/worker/diffusion/pipeline/$name" "$work/models/models--org--painter/blobs/$blob"
  ln -s "../../${up}blobs/$blob" "$work/models/models--org--painter/snapshots/1/$name"
done
export SECRET_OF_OPERATOR=x
start --worker-path "$worker"
like "$(< "$work/log")" 'workers run in a sandbox: parent, descriptors, environment' "the log says which layers there are"
upload train.jsonl "$(for _ in {1..200}; do echo '{"text":"good a","label":"x"}'; echo '{"text":"bad b","label":"y"}'; done)"
is "$(value status)" processed "a file is checked in it"
on() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"$1\",\"training_file\":\"$file\",\"seed\":7,\"method\":{\"type\":\"supervised\",\"supervised\":{\"hyperparameters\":{\"n_epochs\":$2,\"batch_size\":2}}},\"scheduling\":{\"threads\":2,\"device\":\"$3\"}}"; job=$(value id); }
on encoder 50 cpu; await running && ok "a job runs" || not_ok "a job runs" "$body"
child=; for _ in {1..50}; do for p in $(pgrep -P "$pid"); do [[ $(readlink "/proc/$p/exe") == *reflect-worker ]] && child=$p; done; [[ -n $child ]] && break; sleep 0.05; done
[[ -n $child ]] && ok "a worker runs" || not_ok "a worker runs" "$(tail -3 "$work/log")"
state=$(< "/proc/$child/status")
has seccomp && like "$state" 'NoNewPrivs:.1.*Seccomp:.2' "with a filter, and without new privileges"
has capabilities && like "$state" 'CapEff:.0000000000000(00)?[04]' "without a root's power"
is "$(ls "/proc/$child/fd" | sort -n | head -4 | tr '\n' ' ')" '0 1 2 3 ' "it has its four descriptors"
unlike "$(ls -l "/proc/$child/fd")" 'reflectd\.db|socket:.*socket:.*socket:.*socket:' "and neither the store nor a port"
unlike "$(tr '\0' '\n' < "/proc/$child/environ")" 'SECRET|REFLECTD|HOME' "and no variable of the operator's"
like "$(< "/proc/$child/limits")" 'Max core file size +0 +0 .*Max open files +1024 ' "with limits"
has limits && is "$(< "/proc/$child/oom_score_adj")" 1000 "the first to go when memory is short"
has namespaces && { [[ $(readlink "/proc/$child/ns/net") != "$(readlink /proc/self/ns/net)" ]] && ok "in a network of its own" || not_ok "in a network of its own"; }
is "$(stat -c %u "/proc/$pid/environ")" 0 "the daemon hides itself"
call POST "/v1/fine_tuning/jobs/$job/cancel"
on encoder 1 cpu; await succeeded && ok "a job trains in it" || not_ok "a job trains in it" "$body"
call POST "/v1/fine_tuning/jobs/$job/exports" -H 'Content-Type: application/json' -d '{"exports":["merged:f32"]}'
for _ in {1..100}; do call GET "/v1/fine_tuning/jobs/$job/exports"; [[ $body == *'"succeeded"'* || $body == *'"failed"'* ]] && break; sleep 0.1; done
like "$body" '"status":"succeeded"' "it is exported in it"
on org/linked 1 cpu; await succeeded && ok "a model of links" || not_ok "a model of links" "$body"
call POST /v1/images/generations -H 'Content-Type: application/json' -d '{"model":"org/painter","prompt":"a dog","num_inference_steps":2}'
is "$status" 200 "images by a pipeline of links"
call GET /v1/models; like "$body" '"id":"encoder"[^{]*"usable":true' "models are looked at in it"
if [[ $("$worker" --list-devices 2> /dev/null) == *'"opencl:0"'* ]]; then
  on encoder 1 opencl:0; await succeeded "" 2400 && ok "a job on a device" || not_ok "a job on a device" "$body"
  [[ -z $(find "$work/data/jobs" -name .scratch) ]] && ok "its driver's cache is gone" || not_ok "its driver's cache is gone"
fi
stop; is "$code" 0 "it stops in order"

# ---- bombs: an archive of zeros is not the host's end
mkdir "$work/bomb"; echo '{"peft_type":"LORA","r":8,"target_modules":["query"]}' > "$work/bomb/adapter_config.json"
truncate -s 3G "$work/bomb/adapter_model.safetensors"
tar -C "$work/bomb" -czf "$work/bomb.tar.gz" . && start --worker-path "$worker" --upload-check-wait-ms 60000
call POST /v1/files -F purpose=fine-tune -F "file=@$work/bomb.tar.gz" --max-time 90
is "$(value status)" error "an archive that unpacks to 3 GiB is refused"; like "$body" 'MiB|larger|bytes' "with a figure: $(value status_details)"
stop

# ---- the option
REFLECTD_SANDBOX=never "$REFLECTD" --data "$work/d2" --models "$work/models" 2> "$work/said"; like "$? $(< "$work/said")" '^2 .*sandbox' "a sandbox that is none is refused"
start --worker-path "$here/fake_worker" --sandbox off
like "$(< "$work/log")" '"level":"warn"[^}]*sandbox is off' "off is told"
upload train.jsonl; submit done; await succeeded && ok "and a worker that is a script runs" || not_ok "and a worker that is a script runs" "$body"
stop
if has landlock && has seccomp; then
  start --worker-path "$worker" --sandbox require; ok "require: it starts where there is all"; stop
fi
finish
