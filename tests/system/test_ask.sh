#!/bin/bash
# reflect chat, embed and classify: a question from an option, from a pipe and in a terminal; with a worker that stands in.
. "$(dirname "$0")/lib.sh"
start --serving-memory-mib 16
reflect() { "$(dirname "$REFLECTD")/reflect" --url "$url" "$@"; }
is "$(reflect chat tiny --message hi --seed 3 2>&1)" "I am the base of seed 3" "one question"
is "$(printf 'hi\nthere\n' | reflect chat tiny --seed 4 2>&1)" "I am the base of seed 4" "from a pipe"
like "$(reflect --json chat tiny --message hi --seed 5)" '"object": "chat.completion".*"content": "I am the base of seed 5"' "as JSON"
out=$(reflect chat nobody --message hi 2>&1); is $? 3 "a model that is none is refused"; like "$out" 'no model|not_found|nobody' "by its name"
out=$(reflect chat tiny --message too-long 2>&1); is $? 3 "so is a message that is too long"; like "$out" 'the context 64' "with the reason"
out=$(reflect chat tiny --temperature 3 --message hi 2>&1); is $? 3 "so is a temperature"; like "$out" temperature "by its name"
out=$(: | reflect chat tiny 2>&1); like "$out" 'there is no message' "no message"
out=$(reflect chat tiny --message crash 2>&1); is $? 4 "a worker that dies is the server's fault"
if command -v script > /dev/null; then
  out=$({ printf 'hi\n'; sleep 1.5; printf 'too-long\n'; sleep 0.7; printf 'again\n'; sleep 0.7; printf '\004'; sleep 0.3; } |
    script -qec "$(dirname "$REFLECTD")/reflect --url $url chat tiny --seed 6 --system short" /dev/null | tr -d '\r')
  is "$(grep -o 'I am the base of seed 6' <<< "$out" | wc -l)" 2 "a talk goes on after a message that is refused"
  like "$out" 'the context 64' "which is told"
fi
is "$(reflect embed tiny --text hi)" "[1.0,2.0]" "a vector"
is "$(printf 'a\nb\n' | reflect embed tiny)" $'[1.0,2.0]\n[1.0,2.0]' "a line each from a pipe"
is "$(reflect classify tiny --text a --pair b)" "0.7500 good" "a label"
is "$(seq 300 | reflect classify tiny | sort | uniq -c | tr -s ' ')" " 300 0.7500 good" "many lines"
like "$(reflect --json classify tiny --text a)" '"label": "bad"' "all labels as JSON"
out=$(printf 'a\n\n' | reflect classify tiny 2>&1); is $? 3 "an empty line is refused"; like "$out" 'input\[1\]' "by its place"
reflect --man | grep -q 'chat' && ok "the manual has it" || not_ok "the manual has it"
stop; is "$code" 0 "the daemon ends well"
finish
