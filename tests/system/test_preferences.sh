#!/bin/bash
# Preference tuning: which files DPO, ORPO and KTO learn from, what is refused and where, and that a job of each ends with
# what it promises, with the real worker.
. "$(dirname "$0")/lib.sh"
golden_model llama-hra; golden_model bert-hra
start_real

# post TYPE HYPERPARAMETERS [MORE JSON MEMBERS [MODEL]]
post() {
  call POST "/v1/fine_tuning/jobs${query:-}" -H 'Content-Type: application/json' -d "{\"model\":\"${4:-llama}\",\"training_file\":\"$file\",\"seed\":1,
    \"adapter\":{\"r\":4,\"target_modules\":\"all-linear\"},\"method\":{\"type\":\"$1\",\"$1\":{\"hyperparameters\":{\"n_epochs\":2,\"batch_size\":${batch:-4}$2}}}${3:-}}"
  job=$(value id)
}
refused() { local title=$1 want=$2 says=$3; shift 3; post "$@"; is "$status $(value code) $(value param)" "400 $want" "$title"; like "$body" "$says" "$title: says so"; }
ends() { local title=$1 state=$2; shift 2; post "$@"; await "$state" "$job" 300 && ok "$title" || not_ok "$title" "$body"; }
chatml=',"dataset":{"chat_template":"chatml"}'

# --- what is learnt from -------------------------------------------------------------------------------
message() { echo "{\"role\":\"$1\",\"content\":\"$2\"}"; }
upload openai.jsonl "$(for i in {1..12}; do echo "{\"input\":{\"messages\":[$(message user "w$i w2")],\"tools\":[],\"parallel_tool_calls\":true},\"preferred_output\":[$(message assistant "w$i w5 w6")],\"non_preferred_output\":[$(message assistant "w$((i + 20))")]}"; done)"; openai=$file
like "$body" '"kind":"preference".*"warnings":\[\]' "OpenAI's pairs are known by their members"
upload trl.jsonl "$(for i in {1..12}; do echo "{\"prompt\":\"w$i w2 \",\"chosen\":\"w$i w5 w6\",\"rejected\":\"w$((i + 20))\"}"; done)"; trl=$file
like "$body" '"kind":"preference".*"warnings":\[\]' "and TRL's"
upload implicit.csv "$(echo chosen,rejected; for i in {1..12}; do echo "w$i w2 w$i w5 w6,w$i w2 w$((i + 20)) w7"; done)"; implicit=$file
like "$body" '"kind":"preference"' "also as a table without prompts"
upload rated.jsonl "$(for i in {1..13}; do echo "{\"prompt\":\"w$i w2 \",\"completion\":\"w$i w5 w6\",\"label\":$( ((i % 3)) && echo true || echo false)}"; done)"; rated=$file
like "$body" 'method.type \\"kto\\" learns from their labels' "rated completions are told what for"

# --- what is refused -----------------------------------------------------------------------------------
file=$trl
refused "another objective" "unsupported_value method.type" 'it is supervised, dpo, orpo or kto' reinforcement ''
refused "a beta beyond OpenAI's" "invalid_value method.dpo.hyperparameters.beta" 'beta' dpo ',"beta":3'
refused "a member of another objective" "unknown_parameter method.orpo.hyperparameters.loss_type" 'loss_type' orpo ',"loss_type":"ipo"'
refused "a classifier" "unsupported_value task" 'bert cannot learn the task preference' dpo '' '' bert
refused "another task" "invalid_value task" 'task is classification, but method.type dpo' dpo '' ',"task":"classification"'
refused "a metric of another task" "invalid_value evaluation.metric" 'measures loss, rewards/accuracies, rewards/margins' dpo '' ",\"validation_file\":\"$trl\",\"evaluation\":{\"metric\":\"perplexity\"}"
refused "a metric that KTO has not" "invalid_value evaluation.metric" 'measured of pairs' kto '' ",\"validation_file\":\"$trl\",\"evaluation\":{\"metric\":\"rewards/accuracies\"}"
refused "prompts that are learnt" "invalid_value train_on_inputs" 'compares answers' dpo ',"train_on_inputs":true'
batch=1 refused "KTO alone in its batch" "invalid_value batch_size" 'there would be none' kto ''
refused "columns of other names" "invalid_value dataset.prompt" 'fixed names' dpo '' ',"dataset":{"prompt":"question"}'
refused "pairs for a supervised job" "invalid_value method.type" 'pairs of answers, which method.type dpo, orpo and kto learn from' supervised ''
file=$rated; refused "rated completions for DPO" "dataset_invalid training_file" 'the first line is not what method.type dpo learns from' dpo ''
bad() { upload bad.jsonl "$3"; like "$body" "${4:-a job that uses it is refused}" "$1: the upload says so"; refused "$1" "dataset_invalid training_file" "$2" "${5:-dpo}" '' "$chatml"; }
good='{"prompt":"w1 ","chosen":"w2","rejected":"w3"}'
bad "equal answers" 'line 2, column 44: chosen and rejected are equal' "$good"$'\n{"prompt":"w1 ","chosen":"w2","rejected":  "w2"}'
bad "an answer that is missing" 'line 2, column 1: no member rejected' "$good"$'\n{"prompt":"w1 ","chosen":"w2"}'
bad "an answer that is no text" 'line 1, column 42: rejected must be a string' '{"prompt":"w1 ","chosen":"w2","rejected":["w3"]}' 'no list|refused'
bad "an assistant that is missing" 'line 1, column 75: no message has the role assistant' "{\"input\":{\"messages\":[$(message user w1)]},\"preferred_output\":[$(message user w2)],\"non_preferred_output\":[$(message assistant w3)]}"
bad "an input without messages" 'line 1, column 10: input.messages must be a list' "{\"input\":{},\"preferred_output\":[$(message assistant w2)],\"non_preferred_output\":[$(message assistant w3)]}"
bad "a message of nobody" 'message 1: the role nobody' "{\"input\":{\"messages\":[$(message nobody w1)]},\"preferred_output\":[$(message assistant w2)],\"non_preferred_output\":[$(message assistant w3)]}"
bad "a label that is none" 'line 2, column 43: label must be true or false' $'{"prompt":"w1 ","completion":"w2","label":true}\n{"prompt":"w1 ","completion":"w2","label":2}' 'refused|kto' kto
long=$(printf 'w1 %.0s' {1..30})
upload long.jsonl "{\"prompt\":\"$long\",\"chosen\":\"w2\",\"rejected\":\"w3\"}"
ends "pairs of which a cut leaves nothing fail" failed dpo ',"max_seq_length":8'; like "$body" 'nothing is left of [12] examples after cutting them to 8 tokens' "and say so"

# --- jobs ----------------------------------------------------------------------------------------------
file=$openai
query='?dry_run=true' post dpo ',"beta":0.2' "$chatml"; like "$body" '"steps":6' "a dry run plans the steps"
ends "DPO is trained as OpenAI's client asks for it" succeeded dpo ',"beta":0.2,"learning_rate_multiplier":"auto"' "$chatml,\"validation_file\":\"$openai\",\"evaluation\":{\"metric\":\"rewards/accuracies\"}"
like "$body" '"method":\{"type":"dpo","dpo":\{"hyperparameters":\{"beta":0.2' "the job says what it is"
like "$body" '"hyperparameters":\{"n_epochs":2,"batch_size":4,"learning_rate_multiplier":1' "and has OpenAI's three"
dpo=$job
call GET "/v1/fine_tuning/jobs/$dpo/events?limit=100"
like "$body" '"rewards/chosen":.*"rewards/rejected":.*"rewards/accuracies":.*"rewards/margins":.*"logps/chosen":.*"logps/rejected":' "its steps have TRL's metrics"
call GET "/v1/fine_tuning/jobs/$dpo/artifacts/step_metrics.csv"
like "$body" 'valid_rewards/accuracies,valid_rewards/margins.*,rewards/chosen,' "the curve has them"
like "$(sed -n 2p <<< "$body")" '^0,.*,0\.69314' "and begins at log 2: the model is its own reference"
call GET "/v1/fine_tuning/jobs/$dpo/artifacts/training_manifest.json"; like "$body" '"valid_rewards/accuracies": 1' "it prefers what it was taught"
call GET "/v1/fine_tuning/jobs/$dpo/artifacts/README.md"; like "$body" '\| objective \| dpo \|' "its card says so"
file=$trl
ends "a job goes on from it" succeeded dpo '' ",\"from_checkpoint\":\"$dpo\",\"validation_file\":\"$trl\""
call GET "/v1/fine_tuning/jobs/$job/artifacts/step_metrics.csv"
like "$(sed -n 2p <<< "$body")" '^0,.*,0\.69314' "its reference is the adapter it starts from"
file=$implicit; ends "DPO of texts without prompts" succeeded dpo ',"loss_type":"robust","label_smoothing":0.1,"rpo_alpha":0.5'
ends "IPO" succeeded dpo ',"loss_type":"ipo"'
ends "ORPO" succeeded orpo ',"train_on_inputs":true' ",\"validation_file\":\"$trl\""
ends "KTO of pairs" succeeded kto ''
file=$rated; ends "KTO of rated completions" succeeded kto ',"undesirable_weight":1.5' ",\"validation_file\":\"$rated\",\"evaluation\":{\"metric\":\"rewards/margins\"}"
call GET "/v1/fine_tuning/jobs/$job/artifacts/training_manifest.json"; like "$body" '"valid_rewards/margins"' "KTO is measured"
stop
finish
