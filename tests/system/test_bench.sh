#!/bin/bash
# A comparison through the queue: every method, task and seed is a job, its tables say what came of them, and the same
# command goes on where another ended.
. "$(dirname "$0")/lib.sh"
reflect=$(dirname "$REFLECTD")/reflect
start --workers-max 2
export REFLECT_URL=$url
unset REFLECT_API_KEY
# run ARGUMENT...: sets code, said (standard output) and told (standard error).
run() { timeout 60 "$reflect" "$@" > "$work/said" 2> "$work/told"; code=$?; said=$(< "$work/said") told=$(< "$work/told"); }
# look: sets made to the number of jobs there are.
look() { call GET '/v1/fine_tuning/jobs?limit=100'; made=$(grep -o '"object":"fine_tuning.job"' <<< "$body" | wc -l); }
good='{"text":"good","label":"a"}'
echo "$good" > "$work/train.jsonl"; echo "$good" > "$work/valid.jsonl"
echo '{"suffix":"bench","metadata":{"mine":"kept"}}' > "$work/spec.json"
bench=(bench --model tiny --file "$work/train.jsonl" --validation "$work/valid.jsonl" --tasks mine
  --spec "$work/spec.json" --lr 1e-3,lora=5e-4 --max-steps 6 --out "$work/out")

run "${bench[@]}" --methods hra,lora --seeds 1-2
is "$code" 1 "a comparison of which a run fails"
like "$told" '4 runs, of which 0 have a job' "says what it will do"
like "$told" 'lora  seed 1: failed: the loss is not finite \| at step 3' "and that it failed"
like "$said" '\| mine \| hra \| r 8 \| 1,234 \| 2 of 2 \| accuracy \| 0.2000 ± 0.0707 \| 0.1750 ± 0.0707 \|' "its table has means and deviations"
like "$said" '\| mine \| lora \| r 4 \| 1,234 \| 1 of 2 \| accuracy \| 0.2500 \| 0.2250 \| [0-9.]+ \| 1: the loss is not finite \\\| at step 3 \|' "and a row of what failed"
is "$(< "$work/out/bench.md")" "$said" "the same as a file"
like "$(< "$work/out/bench.csv")" $'mine,lora,r 4,accuracy,1234,2,1,1,0.25,,0.225,,' "and as CSV"
like "$(< "$work/out/runs.csv")" $'mine,hra,r 8,2,ftjob-[^,]*,succeeded,accuracy,0.25,3,0.225,6,1234,' "with a row of each run"
like "$(< "$work/out/bench.svg")" '^<svg .*hra-*.*</svg>$' "and as a figure"
look; is "$made" 4 "each run is one job"
like "$body" '"mine":"kept"' "with the metadata of its own"
like "$body" '"learning_rate":0.0005' "and its method's learning rate"

run "${bench[@]}" --methods hra,lora --seeds 1-2
look; is "$code $made" "1 4" "the same command makes no job again"
like "$told" '4 runs, of which 4 have a job' "and says so"
run "${bench[@]}" --methods hra,lora --seeds 1-3
look; is "$made" 6 "more seeds are what is missing"
call GET /v1/files; is "$(grep -o '"purpose":"fine-tune"' <<< "$body" | wc -l)" 2 "with the files that are there"
touch "$work/data/mended"
run "${bench[@]}" --methods hra,lora --seeds 1-3 --retry
look; is "$code $made" "0 7" "what failed is tried again when asked to"
run "${bench[@]}" --methods hra,lora --seeds 1-3
look; is "$code $made" "0 7" "and counts from then on"
run "${bench[@]}" --methods hra --seeds 1 --max-steps 7
look; is "$made" 8 "other settings are other jobs"

echo "$good$good" > "$work/valid.jsonl"
timeout -s KILL 1 "$reflect" "${bench[@]}" --methods hra,lora,oft,boft,hra-gs,hra-lambda --seeds 2-5 --name cut > /dev/null 2>&1
look; before=$made; run "${bench[@]}" --methods hra,lora,oft,boft,hra-gs,hra-lambda --seeds 2-5 --name cut
look; is "$code $made" "0 32" "one that was killed goes on (it had $((before - 8)) jobs)"
is "$(grep -c succeeded "$work/out/runs.csv")" 24 "with all its runs"

run bench --model gone --file "$work/train.jsonl" --validation "$work/valid.jsonl" --seeds 1 --methods hra --out "$work/out"
is "$code" 1 "a job that the server refuses"; like "$(< "$work/out/runs.csv")" 'refused' "is a row too"
run bench --model tiny; is "$code" 2 "no data"; like "$told" 'either --glue DIR, or --file and --validation' "is told"
run "${bench[@]}" --methods hra,none; is "$code" 2 "an unknown method"; like "$told" 'some of hra, hra-gs' "is told"
run "${bench[@]}" --seeds 3-1; is "$code" 2 "seeds from more to less"
run "${bench[@]}" --lr none=3; is "$code" 2 "a learning rate of no method"
run bench --model tiny --glue "$work" --tasks wnli; is "$code" 2 "no task of GLUE"; like "$told" 'it has cola' "is told"
run bench --model tiny --glue "$work" --tasks cola; is "$code" 5 "a folder without its files"; like "$told" '/cola/train.tsv' "is told"
finish
