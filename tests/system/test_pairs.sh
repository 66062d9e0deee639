#!/bin/bash
# Embeddings and rerankers: which files make them, what is refused and where, and that a job of each ends with what it
# promises, with the real worker.
. "$(dirname "$0")/lib.sh"
golden_model bert-hra
cp -r "$work/models/bert" "$work/models/pooled"; mkdir "$work/models/pooled/1_Pooling"
echo '{"pooling_mode_cls_token":true}' > "$work/models/pooled/1_Pooling/config.json"
echo '[{"idx":0,"path":"","type":"sentence_transformers.models.Transformer"},{"idx":1,"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]' > "$work/models/pooled/modules.json"
cp -r "$work/models/pooled" "$work/models/dense"
echo '[{"idx":0,"path":"","type":"sentence_transformers.models.Transformer"},{"idx":1,"path":"1_Dense","type":"sentence_transformers.models.Dense"}]' > "$work/models/dense/modules.json"
golden_model llama-hra
start_real

post() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"${2:-bert}\",\"training_file\":\"$file\",\"seed\":1,\"hyperparameters\":{\"n_epochs\":1,\"batch_size\":${batch:-4}}$1}"; job=$(value id); }
refused() { post "${4:-}" "${5:-bert}"; is "$status $(value code) $(value param)" "400 $2" "$1"; like "$body" "$3" "$1: says so"; }
ends() { post "${3:-}" "${4:-bert}"; await "$2" "$job" 300 && ok "$1" || not_ok "$1" "$body"; }

upload pairs.jsonl "$(for i in {1..20}; do echo "{\"anchor\":\"w$i w2\",\"positive\":\"w$i w$((i + 40))\"}"; done)"; pairs=$file
like "$body" '"kind":"embedding".*"warnings":\[\]' "pairs are known by their columns"
refused "a model that gives no embeddings" "unsupported_value task" 'llama cannot learn the task embedding' ',"task":"embedding"' llama
refused "a metric of another task" "invalid_value evaluation.metric" 'it measures loss, pearson_cosine' ",\"task\":\"embedding\",\"validation_file\":\"$file\",\"evaluation\":{\"metric\":\"accuracy\"}"
refused "pairs for a reranker" "invalid_value dataset.text_pair" 'no column|dataset.label' ',"task":"reranking","dataset":{"text_pair":"passage"}'
refused "a class for pairs" "invalid_value dataset.text" 'the task classification learns from a text with a label' ',"task":"classification"'
batch=1 refused "a batch without negatives" "invalid_value batch_size" 'batch_size is 1: the negatives'
refused "pooling that contradicts the base" "invalid_value embedding.pooling" 'pooling' ',"embedding":{"pooling":"mean"}' pooled
ends "a module that is not understood" failed '' dense; like "$body" 'the module Dense is not supported' "is named"
refused "before the job where the task is named" "unsupported_value model" 'the module Dense is not supported' ',"task":"embedding"' dense
ends "embeddings are trained" succeeded ",\"validation_file\":\"$file\",\"evaluation\":{\"metric\":\"cosine_mrr@10\"},\"exports\":[\"merged:f32\"]" pooled
call GET "/v1/fine_tuning/jobs/$job/artifacts/adapter_config.json"; like "$body" '"task_type": "FEATURE_EXTRACTION"' "PEFT knows what for"
unlike "$body" '"modules_to_save": \[' "nothing is trained beside it"
call GET "/v1/fine_tuning/jobs/$job/artifacts/training_manifest.json"; like "$body" '"valid_cosine_mrr@10": [01]' "a search is measured"
curl -sS "$url/v1/fine_tuning/jobs/$job/artifacts/merged-f32.tar" -o "$work/merged.tar"
is "$(tar -xOf "$work/merged.tar" 1_Pooling/config.json | grep -c 'cls_token": true')" 1 "the merged model pools as the base does"
is "$(tar -xOf "$work/merged.tar" modules.json | grep -c '"type"')" 2 "and has its modules"
first=$job; file=$pairs
call POST "/v1/fine_tuning/jobs/$first/exports" -H 'Content-Type: application/json' -d '{"exports":["lora","merged:bf16"]}'; is "$status" 200 "more formats are asked for"
for _ in {1..300}; do call GET "/v1/fine_tuning/jobs/$first/exports"; [[ $(grep -o '"status":"succeeded"' <<< "$body" | wc -l) == 3 ]] && break; sleep 0.1; done
is "$(grep -o '"status":"succeeded"' <<< "$body" | wc -l)" 3 "and made"
ends "a job goes on from it" succeeded ",\"from_checkpoint\":\"$first\"" pooled

upload negatives.jsonl '{"anchor":"w1","positive":"w2","negative":"w3"}'; negatives=$file file=$pairs
ends "a validation file of another kind fails" failed ",\"validation_file\":\"$negatives\""; like "$body" 'this file has negatives, the training file no scores' "and says what differs"
upload both.csv $'anchor,query,positive\nw1,w2,w3\nw4,w5,w6'
refused "two columns that could be the anchor" "invalid_value dataset.text" 'both anchor and query' ',"task":"embedding"'
post ',"task":"embedding","dataset":{"text":"query"}'; is "$status" 200 "the job names one"
upload stars.csv $'sentence1,sentence2,score\nw1,w2,0.5\nw3,w4,5'
refused "a score that no cosine is" "dataset_invalid training_file" 'line 3, column 7: score is 5; it must be from -1 to 1'

upload ranked.jsonl "$(for i in {1..24}; do echo "{\"query\":\"w$((i / 4)) w2\",\"passage\":\"w$i\",\"label\":$((i % 4 == 0))}"; done)"
like "$body" '"kind":"reranking"' "queries and passages are known too"
ends "a reranker is trained" succeeded ",\"validation_file\":\"$file\""
call GET "/v1/fine_tuning/jobs/$job/artifacts/training_manifest.json"; like "$body" '"valid_ndcg@10"' "its rankings are measured"
call GET "/v1/fine_tuning/jobs/$job/artifacts/labels.json"; like "$body" '"num_labels": 1' "and it has one logit"
ends "a job goes on from the reranker" succeeded ",\"from_checkpoint\":\"$job\""
refused "but not from embeddings" "invalid_value from_checkpoint" 'has no head' ",\"from_checkpoint\":\"$first\"" pooled
upload bad.csv $'query,passage,label\nw1,w2,1\nw3,w4,-1'
refused "a label that is no share" "dataset_invalid training_file" 'line 3, column 7: label is -1; it must be from 0 to 1'
stop
finish
