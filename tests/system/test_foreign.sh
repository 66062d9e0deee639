#!/bin/bash
# Data files as people have them, with the real worker: packed by gzip and zip, Alpaca's and ShareGPT's lines. What is
# learnt from them is, byte by byte, what is learnt from the same in our form.
. "$(dirname "$0")/lib.sh"
golden_model llama-hra
start_real
put() { call POST /v1/files -F purpose=fine-tune -F "file=@$work/$1"; file=$(value id); }
# learn FILE: sets adapter to the hash of what is learnt from it.
learn() {
  call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"llama\",\"training_file\":\"$1\",\"seed\":1,
    \"hyperparameters\":{\"n_epochs\":1,\"batch_size\":2},\"dataset\":{\"chat_template\":\"chatml\"}}"; job=$(value id)
  await succeeded "$job" 300 || { adapter="no adapter: $body"; return; }
  call GET "/v1/fine_tuning/jobs/$job/artifacts"
  [[ $body =~ \"adapter_model.safetensors\",[^}]*\"sha256\":\"([0-9a-f]*)\" ]]; adapter=${BASH_REMATCH[1]:-none: $body}
}
head='Below is an instruction that describes a task' tail='Write a response that appropriately completes the request.\n\n### Instruction:\n'
for i in {1..6}; do
  if ((i % 2)); then
    echo "{\"instruction\":\"w$i w2\",\"input\":\"w3\",\"output\":\"w4 w$i\"}" >&3
    echo "{\"prompt\":\"$head, paired with an input that provides further context. $tail""w$i w2\n\n### Input:\nw3\n\n### Response:\n\",\"completion\":\"w4 w$i\"}" >&4
  else
    echo "{\"instruction\":\"w$i w2\",\"input\":\"\",\"output\":\"w4 w$i\"}" >&3
    echo "{\"prompt\":\"$head. $tail""w$i w2\n\n### Response:\n\",\"completion\":\"w4 w$i\"}" >&4
  fi
  echo "{\"conversations\":[{\"from\":\"human\",\"value\":\"w$i w2\"},{\"from\":\"gpt\",\"value\":\"w4 w$i\"}]}" >&5
  echo "{\"messages\":[{\"role\":\"user\",\"content\":\"w$i w2\"},{\"role\":\"assistant\",\"content\":\"w4 w$i\"}]}" >&6
done 3> "$work/alpaca.jsonl" 4> "$work/ours.jsonl" 5> "$work/sharegpt.jsonl" 6> "$work/chat.jsonl"

put alpaca.jsonl; is "$status $(value status)" "200 processed" "Alpaca's lines"; like "$body" '"kind":"completion".*"the lines are Alpaca.s .*taken as the prompt' "are told to be prompts with completions"
learn "$file"; alpaca=$adapter; put ours.jsonl; learn "$file"; is "$alpaca" "$adapter" "what is learnt is that of our lines"
put sharegpt.jsonl; like "$body" '"kind":"chat".*"the lines are ShareGPT.s .*human as user' "ShareGPT's lines are told to be messages"
learn "$file"; sharegpt=$adapter; put chat.jsonl; learn "$file"; is "$sharegpt" "$adapter" "what is learnt is that of our lines"
unlike "$sharegpt" "none|no adapter|$alpaca" "and something is"
cat "$work/sharegpt.jsonl" "$work/alpaca.jsonl" > "$work/mixed.jsonl"; put mixed.jsonl
is "$(value status)" error "a file of both is refused"; like "$body" "line 7, column 1: this line is Alpaca's" "with the line"

gzip -k "$work/chat.jsonl"; put chat.jsonl.gz; like "$body" '"status":"processed".*"format":"jsonl","kind":"chat","lines":6' "a file that is compressed by gzip"
learn "$file"; is "$adapter" "$sharegpt" "is learnt as it is unpacked"
mkdir -p "$work"/zip/{data,xl}; cp "$work/chat.jsonl" "$work/zip/data/"; echo text | tee "$work/zip/a.csv" > "$work/zip/b.csv"
echo '<x/>' | tee "$work/zip/[Content_Types].xml" > "$work/zip/xl/workbook.xml"
(cd "$work/zip" && zip -q ../data.zip data/chat.jsonl && zip -q ../two.zip a.csv b.csv && zip -q ../book.xlsx '[Content_Types].xml' xl/workbook.xml)
put data.zip; like "$body" '"status":"processed".*"kind":"chat"' "a zip with a data file"
learn "$file"; is "$adapter" "$sharegpt" "likewise"
put two.zip; like "$body" '"status":"error".*several files \(a.csv, b.csv\)' "a zip with two is refused"
put book.xlsx; like "$body" '"status":"error".*Excel workbook.*pandas.read_excel' "an Excel workbook: with the command"
printf 'PAR1\x15\x04\x15\x00' > "$work/x.parquet"; put x.parquet; like "$body" '"status":"error".*Parquet.*pandas.read_parquet' "and Parquet"
{ echo '{"text":"a"}'; head -c 120000000 /dev/zero | tr '\0' ' '; } | gzip -9 > "$work/bomb.jsonl.gz"; put bomb.jsonl.gz
like "$body" '"status":"error"' "what is made to be large is refused"
printf '{"text":"a"}\n{"text":}\n' | gzip > "$work/bad.jsonl.gz"; put bad.jsonl.gz; like "$body" 'line 2, column' "faults have the place in what was packed"
stop; is "$code" 0 "exit 0"
finish
