#!/bin/bash
# What is in a file, as GET /v1/files/ID/validation tells it: with the real worker.
. "$(dirname "$0")/lib.sh"
golden_model bert-hra
reflect=$(dirname "$REFLECTD")/reflect
start_real
upload test.csv $'text,kind\nw1 w2,a\nw9,b'; other=$file
upload train.csv $'text,kind\nw1,a\nw1 w2,b\nw1 w2 w3,a\nw1,b\nw1 w2 w3,a'
call GET "/v1/files/$file/validation?label=kind&model=bert&against=$other&max_seq_length=4"
like "$status $body" '^200 .*"format":"csv".*"examples":5.*"label_counts":\[\{"label":"a","count":3\},\{"label":"b","count":2\}\]' "a file's labels"
like "$body" '"duplicates":\{"count":1,"first":\[\{"line":6,"other_line":4\}\]\},"conflicts":\{"count":1,"first":\[\{"line":5,"other_line":2,"label":"b","other_label":"a"\}\]\}' "texts that come again, and with another label"
like "$body" '"overlap":\{"count":1,"first":\[\{"line":3,"other_line":2\}\],"share":0.2\}' "what another file has too"
like "$body" '"tokens":\{"model":"bert","max_seq_length":4,"total":20,"min":3,"mean":4.0,"p50":4,"p95":5,"p99":5,"max":5,"longer":2,"histogram":\[\{"from":0,"to":1,"count":0\}.*\{"from":5,"to":6,"count":2\}\]' "lengths for a model"
call GET "/v1/files/$file/validation"; like "$status $body" '^200 .*"overlap":null,.*"tokens":null' "neither without being asked"
upload bad.jsonl $'{"text":"a","label":"x"}\n{"text":"b"}\nnonsense\n{"text":"c","label":"y"}'; is "$(value status)" error "a file that cannot be used"
call GET "/v1/files/$file/validation?model=bert"
like "$status $body" '^200 .*"errors":\[\{"line":2,"column":1,"param":"label",.*"line":3,"column":8,.*\],"error_count":2' "has every bad line told, with its place"
like "$body" '"tokens_error":"[^"]*line 2.*"tokens":null' "and no lengths"
out=$("$reflect" --url "$url" files check "$file" 2>&1); like "$? $out" $'^1 .*errors +2\n  line 2, column 1: no member label\n  line 3' "the command line too"
call GET "/v1/files/$file/validation?model=berd"; is "$status $(value code)" "404 model_not_found" "a model that is not there"
call GET "/v1/files/$file/validation?against=file-none"; is "$status $(value code) $(value param)" "404 file_not_found against" "nor the other file"
call GET "/v1/files/file-none/validation"; is "$status $(value code)" "404 file_not_found" "nor the file"
call GET "/v1/files/$file/validation?task=cooking"; is "$status $(value param)" "400 task" "a task that is none"
stop; is "$code" 0 "exit 0"
finish
