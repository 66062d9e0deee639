#!/bin/bash
# Token classification: which files make it, what is refused and where, and that a job ends with what it promises, is
# resumed and gone on from, with the real worker.
. "$(dirname "$0")/lib.sh"
golden_model bert-hra
golden_model llama-hra
start_real

post() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"${2:-bert}\",\"training_file\":\"$file\",\"seed\":1,\"hyperparameters\":{\"n_epochs\":2,\"batch_size\":4}$1}"; job=$(value id); }
refused() { post "${4:-}" "${5:-bert}"; is "$status $(value code) $(value param)" "400 $2" "$1"; like "$body" "$3" "$1: says so"; }
ends() { post "${3:-}" "${4:-bert}"; await "$2" "$job" 300 && ok "$1" || not_ok "$1" "$body"; }
artifact() { call GET "/v1/fine_tuning/jobs/$job/artifacts/$1"; }

upload tags.jsonl "$(for i in {1..20}; do echo "{\"tokens\":[\"w$i\",\"w2\",\"w$((i + 40))\"],\"ner_tags\":[\"B-X\",\"I-X\",\"O\"]}"; done)"; tags=$file
like "$body" '"kind":"token_classification".*"names":\["B-X","I-X","O"\].*"warnings":\[\]' "words with tags are known"
refused "a model that is no encoder" "unsupported_value task" 'llama cannot learn the task token_classification' ',"task":"token_classification"' llama
refused "a metric of another task" "invalid_value evaluation.metric" 'it measures loss, accuracy, f1, precision, recall' ",\"task\":\"token_classification\",\"validation_file\":\"$file\",\"evaluation\":{\"metric\":\"f1_macro\"}"
refused "tags that are not there" "invalid_value dataset.tags" 'has no column .*pos_tags' ',"dataset":{"tags":"pos_tags"},"task":"token_classification"'
ends "tags are learnt" succeeded ",\"validation_file\":\"$file\",\"evaluation\":{\"metric\":\"f1\"},\"exports\":[\"merged:f32\"]"; first=$job
artifact adapter_config.json; like "$body" '"task_type": "TOKEN_CLS"' "PEFT knows what for"; like "$body" '"classifier"' "and what was saved"
artifact training_manifest.json; like "$body" '"valid_f1": [01]' "entities are counted"; like "$body" '"B-X",' "and their tags named"
artifact labels.json; like "$body" '"0": "B-X"' "as in labels.json"; unlike "$body" problem_type "which has no type of problem"
artifact README.md; like "$body" 'AutoModelForTokenClassification' "the card loads that class"
artifact predictions.jsonl; like "$body" '"labels":\["B-X","I-X","O"\],"predictions":\["[BIO]' "each word has its prediction"
curl -sS "$url/v1/fine_tuning/jobs/$first/artifacts/merged-f32.tar" -o "$work/merged.tar"
like "$(tar -xOf "$work/merged.tar" config.json)" '"BertForTokenClassification"' "a merged model is of that class"
call POST "/v1/fine_tuning/jobs/$first/exports" -H 'Content-Type: application/json' -d '{"exports":["merged:bf16"]}'; is "$status" 200 "another format is asked for"
for _ in {1..300}; do call GET "/v1/fine_tuning/jobs/$first/exports"; [[ $(grep -o '"status":"succeeded"' <<< "$body" | wc -l) == 2 ]] && break; sleep 0.1; done
is "$(grep -o '"status":"succeeded"' <<< "$body" | wc -l)" 2 "and made"
ends "a job goes on from it" succeeded ",\"from_checkpoint\":\"$first\""
upload texts.csv "$(echo text,label; for i in {1..9}; do echo "w$i,B-X"; echo "w2,O"; done)"
refused "but not one of texts, since its head is for words" "invalid_value from_checkpoint" 'the classes B-X, I-X, O .3. for token classification' ",\"from_checkpoint\":\"$first\""

upload other.jsonl '{"tokens":["w1"],"tags":["B-Y"]}'; other=$file file=$tags
refused "a tag that the training file lacks" "dataset_invalid validation_file" "$other: line 1, column 25: the label B-Y does not occur" ",\"validation_file\":\"$other\""
upload count.jsonl $'{"tokens":["w1","w2"],"tags":["O","B-X"]}\n{"tokens":["w1","w2"],"tags":["O"]}'
is "$(value status)" error "tags that do not fit the tokens"; like "$body" 'line 2, column 30: tags has 1 entries, tokens has 2' "are refused at their place"
upload numbers.jsonl '{"tokens":["w1","w2"],"tags":[0,3]}'; is "$(value status)" error "numbers"; like "$body" 'line 1, column 30: tags has an integer as its entry 1' "name no tags"
upload both.jsonl $'{"text":"w1","tokens":["w1","w2"],"tags":["O","B-X"]}\n{"text":"w1","tokens":["w1"],"tags":["O","B-X"]}'
refused "which only a job of tags minds" "dataset_invalid training_file" 'line 2, column 37: tags has 2 entries, tokens has 1' ',"task":"token_classification"'
stop
finish
