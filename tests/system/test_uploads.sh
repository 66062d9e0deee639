#!/bin/bash
# Files whose check takes longer than the answer waits, jobs that wait for them, and checks that a restart repeats.
. "$(dirname "$0")/lib.sh"
start --upload-check-wait-ms 300
upload slow.jsonl; is "$(value status)" uploaded "a long check does not hold up the answer"
submit ok; is "$(value status)" validating_files "a job with it waits"
call POST "/v1/fine_tuning/jobs/$job/cancel"; is "$(value status)" cancelled "and can be cancelled"
submit ok; await succeeded && ok "and goes on when the check ends" || not_ok "and goes on when the check ends" "$body"
call GET "/v1/files/$file"; is "$(value status)" processed "the file is processed by then"

upload slow-2.jsonl; again=$file
submit ok; waiting=$job
stop KILL
start --upload-check-wait-ms 0
call GET "/v1/files/$again"; like "$(value status)" 'uploaded|processed' "after kill -9 the file is there"
await succeeded "$waiting" && ok "its check is repeated and the job runs" || not_ok "its check is repeated and the job runs" "$body"

printf 'x\n' > "$work/late.jsonl"
call POST /v1/files -F purpose=fine-tune -F "file=@$work/late.jsonl"; file=$(value id)
is "$(value status)" uploaded "with no wait the answer comes at once"
submit ok; await failed && is "$(value code)" dataset_invalid "a job that waited for a bad file fails" || not_ok "a job that waited for a bad file fails" "$body"
like "$(value message)" 'line 3, column 17' "with the place of the fault"

upload adapter.tar.gz "not read by the fake"
for _ in {1..100}; do call GET "/v1/files/$file"; [[ $(value status) == uploaded ]] || break; sleep 0.05; done
is "$(value status)" processed "an adapter's archive has the purpose of data"
like "$body" '"validation":\{.*"kind":"adapter"' "and its report says what it is"
adapter=$file
submit ok; is "$status $(value param)" "400 training_file" "it is no training data"
like "$body" 'from_checkpoint starts from it' "and the refusal says what it is for"
upload train.jsonl
submit ok ",\"from_checkpoint\":\"$adapter\""; like "$body" '"adapter":\{[^}]*"peft_type":"LORA"' "a job that starts from it takes over its config"
await succeeded && ok "and runs" || not_ok "and runs" "$body"
call POST /v1/files -F purpose=adapter -F "file=@$work/adapter.tar.gz"; is "$status $(value code)" "400 invalid_file_purpose" "the purpose adapter is none"
like "$body" 'for data and for adapters' "the one for both is named"

head -c 30000000 /dev/urandom > "$work/large.jsonl"
before=$(awk '/VmHWM/ {print $2}' "/proc/$pid/status")
call POST /v1/files -F purpose=fine-tune -F "file=@$work/large.jsonl"; large=$(value id)
is "$(value bytes)" 30000000 "a large file"
after=$(awk '/VmHWM/ {print $2}' "/proc/$pid/status")
[[ $REFLECTD == */asan/* ]] || { ((after - before < 8192)) && ok "is streamed" || not_ok "is streamed" "$before KiB -> $after KiB"; }
curl -sS "$url/v1/files/$large/content" | cmp - "$work/large.jsonl" && ok "and comes back unchanged" || not_ok "and comes back unchanged"
printf -v form -- '--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--B\r\nContent-Disposition: form-data; name="file"; filename="a b\xc3\xa4.jsonl"\r\n\r\n\r\n--B--\r\n'
call POST /v1/files -H 'Content-Type: multipart/form-data; boundary=B' --data-binary "$form"
is "$status $(value bytes)" "200 0" "an empty file"; like "$body" 'a bä.jsonl' "a name with blanks and letters of any language"
call POST /v1/files -H 'Content-Type: multipart/form-data; boundary=B' --data-binary "${form%--B--*}"
is "$status $(value code)" "400 invalid_request" "a body that stops before its end"
stop; is "$code" 0 "exit 0"

# ---- a disk that takes its time to make an upload durable ----
${CC:-cc} -shared -fPIC -x c -o "$work/slow.so" - << 'END'
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
int fsync(int fd) {
  char name[64], path[4096] = "";
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  if (readlink(name, path, sizeof path - 1) > 0 && strstr(path, "/files/.tmp-")) {
    usleep(1500000);
    strcpy(strstr(path, "/data/"), "/broken");
    if (access(path, F_OK) == 0)
      return errno = ENOSPC, -1;
  }
  return (int)syscall(SYS_fsync, fd);
}
END
# later NAME [CURL OPTION...]: an upload beside us; its answer comes into $work/NAME.
later() { curl -sS -o "$work/$1" -F purpose=fine-tune -F "file=@$work/train.jsonl;filename=$1.jsonl" "${@:2}" "$url/v1/files" 2> "$work/curl" & sleep 0.5; }
slow() { LD_PRELOAD=$work/slow.so ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 start "$@"; }
stored() { find "$work/data/files" -type f | wc -l; }
slow; before=$(stored)
later durable; first=$!; later beside
call GET /v1/files --max-time 0.4; is "$status" 200 "others are answered while an upload is made durable"
unlike "$body" 'durable.jsonl|beside.jsonl' "which is not listed yet"
wait "$first" $!; like "$(< "$work/durable")$(< "$work/beside")" '"status":"processed".*"status":"processed"' "its answer waits for that and for its check"
is "$(stored)" $((before + 2)) "and the bytes have their names"
later left --max-time 0.3; wait $!; sleep 1.5; call GET /v1/files; like "$body" 'left.jsonl' "a client that leaves meanwhile: its file is complete and stored"
: > "$work/broken"; call POST /v1/files -F purpose=fine-tune -F "file=@$work/train.jsonl"; rm "$work/broken"
is "$status $(value code)" "507 insufficient_storage" "a disk that turns out to be full"; is "$(stored)" $((before + 3)) "and nothing is half stored"
later last; stop; is "$code" 0 "told to stop meanwhile: exit 0"; wait
like "$(< "$work/last")" '"filename":"last.jsonl"' "the upload is answered"
is "$(stored) $(find "$work/data/files" -name '.tmp-*')" "$((before + 4)) " "and whole"
start; call GET /v1/files; like "$body" 'last.jsonl' "the next daemon has it"
[[ -e $work/data/lost+found ]] && not_ok "and lacks nothing" || ok "and lacks nothing"

# ---- sent again ----
again() { call POST /v1/files "${@:2}" -F purpose=fine-tune -F "file=@$work/again.jsonl;filename=$1"; } # NAME [CURL OPTION...]
key=(-H 'Idempotency-Key: k'); before=$(stored)
echo '{"text":"good","label":"a"}' > "$work/again.jsonl"
again again.jsonl "${key[@]}"; is "$status" 200 "a file with an Idempotency-Key"; first=$(value id); unlike "$headers" Idempotency-Replayed "is stored"
again again.jsonl "${key[@]}"; is "$status $(value id)" "200 $first" "sent again it is the same"; like "$headers" 'Idempotency-Replayed: true' "and says that it is a replay"
stop KILL; start; again again.jsonl "${key[@]}"; is "$status $(value id)" "200 $first" "after kill -9 too"
is "$(stored)" $((before + 1)) "its bytes are there once"
again other.jsonl "${key[@]}"; is "$status $(value code) $(value param)" "422 idempotency_key_reused Idempotency-Key" "the key with another name"; like "$body" "$first" "says which file has it"
again again.jsonl "${key[@]}" -F 'expires_after[anchor]=created_at' -F 'expires_after[seconds]=3600'; is "$status $(value code)" "422 idempotency_key_reused" "with another field"
echo >> "$work/again.jsonl"; again again.jsonl "${key[@]}"; is "$status $(value code)" "422 idempotency_key_reused" "with other bytes"
is "$(stored)" $((before + 1)) "and nothing of these is left"
again again.jsonl -H "Idempotency-Key: $(printf 'k%.0s' {1..256})"; is "$status $(value param)" "400 Idempotency-Key" "a key of too many bytes"
again again.jsonl; second=$(value id); again again.jsonl -H 'x-stainless-retry-count: 1'; is "$status $(value id)" "200 $second" "the client's own retry is known by its body"
again again.jsonl; [[ $(value id) != "$second" ]] && ok "a second request is none" || not_ok "a second request is none" "$body"
call DELETE "/v1/files/$first"; again again.jsonl "${key[@]}"; is "$status" 200 "the key of a file that was deleted is free"; [[ $(value id) != "$first" ]] && ok "for another" || not_ok "for another" "$body"
again "$(printf 'x%.0s' {1..256})"; is "$status $(value code) $(value param)" "400 invalid_request file" "a file name that is too long"
again "$(printf 'x%.0s' {1..5000})"; is "$status $(value code) $(value param)" "400 invalid_request file" "far too long"
stop; is "$code" 0 "exit 0"
finish
