#!/bin/bash
# A single-file checkpoint of Stable Diffusion with the real worker: it is added, makes the images and the adapters of the
# pipeline that it was made of, bit by bit, and what is missing beside it or in it is named.
. "$(dirname "$0")/lib.sh"
fixtures=$root/tests/worker/diffusion programs=$(cd "$(dirname "$REFLECTD")" && pwd)
unset REFLECT_API_KEY REFLECT_URL REFLECT_PROFILE REFLECTD_MODELS; export XDG_CONFIG_HOME=$work/none
add() { timeout 60 "$programs/reflect" models add "$@" --models "$work/models" > "$work/said" 2> "$work/told"; code=$?; told=$(< "$work/told"); }
mkdir "$work/here"; cp "$fixtures/single_file.safetensors" "$work/here/tiny-sd.safetensors"
add "$work/here/tiny-sd.safetensors"; is "$code" 1 "a file without a tokenizer"; like "$told" 'not added: .*no folder tokenizer beside it' "is not added"
cp -r "$fixtures/pipeline/tokenizer" "$work/here/"
add "$work/here/tiny-sd.safetensors"; is "$code" 1 "one of other sizes without configs"; like "$told" 'reads 16 channels: .*1.x has 768, 2.x 1024; .*scheduler/scheduler_config.json beside the file' "says what it needs"
for part in scheduler/scheduler_config.json unet/config.json vae/config.json text_encoder/config.json; do mkdir -p "$work/here/${part%/*}"; cp "$fixtures/pipeline/$part" "$work/here/$part"; done
echo x > "$work/here/unet/diffusion_pytorch_model.safetensors"; echo x > "$work/here/other.safetensors"
add "$work/here/tiny-sd.safetensors"; is "$code" 0 "with them it is added"; like "$(< "$work/said")" '^tiny-sd: StableDiffusionPipeline, ' "under its name"
is "$(cd "$work/models/tiny-sd" && find . -type f | sort | tr '\n' ' ')" "./scheduler/scheduler_config.json ./text_encoder/config.json ./tiny-sd.safetensors ./tokenizer/merges.txt ./tokenizer/tokenizer_config.json ./tokenizer/vocab.json ./unet/config.json ./vae/config.json " "with what belongs to it alone"
head -c 100000 "$fixtures/single_file.safetensors" > "$work/here/half.safetensors"
add "$work/here/half.safetensors"; is "$code" 1 "half of one"; like "$told" 'half.safetensors' "is named"

cp -r "$fixtures/pipeline" "$work/models/painter"
start_real
post() { call POST "/v1/$1" -H 'Content-Type: application/json' -d "$2"; }
adapter=() merged=()
image() { post images/generations "{\"model\":\"$1\",\"prompt\":\"a photo of a dog\",\"num_inference_steps\":4,\"seed\":7}"; grep -o '"b64_json":"[^"]*"' "$work/body"; }
looked_at() { call GET /v1/models/tiny-sd; [[ $body != *'"usable":null'* ]]; }
soon looked_at; like "$body" '"format":"single_file","usable":true' "the server can use it"
like "$body" '"architecture":"StableDiffusionPipeline","tasks":\["TEXT_TO_IMAGE"\],"max_seq_length":20' "as a pipeline"
whole=$(image painter); is "${whole:0:17}" '"b64_json":"iVBOR' "an image of the pipeline"; is "$(image tiny-sd)" "$whole" "is its image too"
(cd "$root/tests/fuzz/corpus/image" && tar -cf "$work/dogs.tar" --transform 's/png-exif-6/a.png/;s/jpeg-420/b.jpg/' png-exif-6 jpeg-420)
call POST /v1/files -F purpose=fine-tune -F "file=@$work/dogs.tar"; file=$(value id)
for model in painter tiny-sd; do
  post fine_tuning/jobs "{\"model\":\"$model\",\"training_file\":\"$file\",\"task\":\"subject-driven\",\"seed\":1,\"image\":{\"instance_prompt\":\"a photo of a dog\",\"resolution\":16},\"adapter\":{\"r\":4},\"hyperparameters\":{\"max_steps\":6,\"learning_rate\":0.1},\"exports\":[\"merged:f32\"]}"
  job=$(value id); await succeeded "$job" 200 && ok "a job of $model" || not_ok "a job of $model" "$body"
  tuned=$(value fine_tuned_model)
  call GET "/v1/fine_tuning/jobs/$job/artifacts/adapter_model.safetensors"; adapter[${#adapter[@]}]=$(sha256sum < "$work/body")
  call GET "/v1/fine_tuning/jobs/$job/artifacts/merged-f32.tar"; merged[${#merged[@]}]=$(tar -xOf "$work/body" --wildcards '*.safetensors' | sha256sum)
done
is "${adapter[1]}" "${adapter[0]}" "learns the same adapter"; is "${merged[1]}" "${merged[0]}" "whose merged UNet has diffusers' names"
changed=$(image "$tuned"); [[ $changed == *iVBOR* && $changed != "$whole" ]] && ok "with the adapter it makes others" || not_ok "with the adapter it makes others"
call GET "/v1/fine_tuning/jobs/$job/artifacts/training_manifest.json"; like "$body" '"tiny-sd.safetensors".*"tokenizer/vocab.json".*"unet/config.json"' "the manifest has its files"
like "$body" '"base_model_sha256": *"'"$(sha256sum < "$fixtures/single_file.safetensors" | cut -d' ' -f1)" "and its hash"
post "fine_tuning/jobs/$job/exports" '{"exports":["diffusers-lora"]}'; is "$status" 200 "an export later"
exported() { call GET "/v1/fine_tuning/jobs/$job/exports"; [[ $body == *'"status":"succeeded"'* ]]; }
soon exported && ok "succeeds" || not_ok "succeeds" "$body"
finish
