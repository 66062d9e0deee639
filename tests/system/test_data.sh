#!/bin/bash
# What a data file lacks for a job is told when the job is created, with its place; what the job does not use may lack
# anything. The files are checked by the real worker.
. "$(dirname "$0")/lib.sh"
cp "$root"/tests/golden/cases/llama-hra/model/* "$work/models/tiny/"
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' a b c > "$work/models/tiny/vocab.txt"
cat > "$work/models/tiny/chat_template.jinja" <<'END'
{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}[{{ m.role }}] {{ m.content }}</s>{% endfor %}
END
mkdir "$work/models/encoder"; cp "$root"/tests/golden/cases/bert-hra/model/* "$work/models/tiny/vocab.txt" "$work/models/encoder/"
start_real

# post [MEMBERS [MODEL]]: a job on $file.
post() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"${2:-tiny}\",\"training_file\":\"$file\"$1}"; }
accepted() { post "${2:-}"; is "$status" 200 "$1"; }
refused() { post "${4:-}" "${5:-tiny}"; is "$status $(value code) $(value param)" "400 $2" "$1"; like "$body" "$3" "$1: says so"; }

upload unused.csv $'id,text,review,category\n1,,good,a\n2,note,bad,b\n3,,,a'; is "$(value status)" processed "a file with gaps"
like "$body" 'line 2, column 3: text is empty' "warns of those in columns with the usual names"
unlike "$body" '"facts"' "and shows no more than it says"
refused "a gap in a column that is used" "dataset_invalid training_file" 'line 4, column 4: review is empty' ',"dataset":{"text":"review","label":"category"}'
refused "a column that is not there" "invalid_value dataset.label" 'id.*text.*review.*category' ',"dataset":{"text":"category","label":"stars"}'
accepted "gaps in columns that are not" ',"dataset":{"text":"category","label":"id"}'
upload chat.jsonl '{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"text":null,"label":null}'
accepted "null beside a chat"
refused "a task that needs other data" "dataset_invalid training_file" 'text is null; the task classification learns from a text with a label' ',"task":"classification"'
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"encoder\",\"training_file\":\"$file\"}"
like "$status $body" '^400 .*has chats, which language models learn from; encoder classifies texts' "a chat for a model that only classifies"
upload rules.jsonl $'{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}\n{"messages":[{"role":"system","content":"r"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}'
refused "a system message that the template refuses" "dataset_invalid training_file" "line 2, column 13: the model's chat template refuses a system message: .*System role not supported"
accepted "with a template that knows one" ',"dataset":{"chat_template":"chatml"}'
upload mixed.jsonl $'{"text":"a","label":"x"}\n{"text":"b","label":null}\n{"text":"c","label":"y"}'
refused "a line without a label" "dataset_invalid training_file" 'line 2, column 21: label is null'
upload stars.csv $'text,label\na,1\nb,5\nc,3.0'; like "$body" '"names":\["1","3","5"\]' "stars are classes"; stars=$file
accepted "that a job can learn"
refused "a task that the model cannot learn" "unsupported_value task" 'encoder cannot learn the task language_model; it can learn classification' ',"task":"language_model"' encoder
both=",\"validation_file\":\"$file\""
refused "a metric of two classes" "invalid_value evaluation.metric" 'f1, which is measured of two classes' "$both,\"evaluation\":{\"metric\":\"f1\"}"
refused "a metric of other data" "invalid_value evaluation.metric" 'does not measure .classification.; it measures loss, accuracy' "$both,\"evaluation\":{\"metric\":\"spearman\"}"
refused "a warm-up that is all of it" "invalid_value warmup_steps" 'the job has one step' ',"hyperparameters":{"n_epochs":1,"warmup_steps":3}'
upload one.csv $'text,label\na,x\nb,x'
refused "one class" "dataset_invalid training_file" 'line 2, column 3: every example has the label x'
upload other.csv $'text,label\na,3\nb,4'; other=$file file=$stars
refused "a label that the training file lacks" "dataset_invalid validation_file" "$other: line 3, column 3: the label 4" ",\"validation_file\":\"$other\""
accepted "which a regression does not mind" ",\"validation_file\":\"$other\",\"dataset\":{\"problem_type\":\"regression\"}"
upload words.csv $'text,label\na,1\nb,x'
refused "a word in a regression" "dataset_invalid training_file" 'line 3, column 3: label is .*x.*, not a number' ',"dataset":{"problem_type":"regression"}'
upload lists.jsonl $'{"text":"a","labels":["x","y"]}\n{"text":"b","labels":[]}'; lists=$file
like "$body" '"kind":"multi_label".*"names":\["x","y"\]' "lists of labels are found"
accepted "and learnt" ',"task":"multi_label"'
refused "as one label a text" "dataset_invalid training_file" 'labels is a list, not a label' ',"task":"classification","dataset":{"label":"labels"}'
upload list.jsonl $'{"text":"a","labels":["x"]}\n{"text":"b","labels":["z"]}'; list=$file file=$lists
refused "a list with a label that the training file lacks" "dataset_invalid validation_file" "$list: line 2, column 22: the label z" ",\"validation_file\":\"$list\""
upload useless.jsonl $'{"text":"a"}\n{"text":null}'; is "$(value status)" error "a file that no job could use"
like "$body" 'line 2, column 9: text is null' "is refused with the place"
stop
finish
