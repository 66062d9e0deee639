#!/bin/bash
# reflect images compare: maps that a detector made of images, beside those of the originals. Scores were worked out by
# hand; what cannot be compared is refused by its file's name. No server is asked.
. "$(dirname "$0")/lib.sh"
reflect=$(cd "$(dirname "$REFLECTD")" && pwd)/reflect
unset REFLECT_API_KEY REFLECT_URL REFLECT_PROFILE; export XDG_CONFIG_HOME=$work/none
compare() { timeout 60 "$reflect" images compare "$@" > "$work/said" 2> "$work/told"; code=$?; said=$(< "$work/said") told=$(< "$work/told"); }
# fresh: two empty folders. put FOLDER/NAME PNG.
cd "$work" || exit 1
fresh() { rm -rf truth maps; mkdir truth maps; }
put() { base64 -d <<< "$2" > "$1"; }
refused() { is "$code $said" "1 " "$1"; like "$told" "$2" "$1: is said with the file's name"; }
truth_grey=iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAAAAABawyK/AAAAEElEQVR42mNgYGBkZAAS/wEBGAEDXWFrWAAAAABJRU5ErkJggg==
map_grey=iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAAAAABawyK/AAAAEklEQVR42mNgYGBgZGBgYmQEAAAZAAbIV58qAAAAAElFTkSuQmCC
truth_rgb=iVBORw0KGgoAAAANSUhEUgAAAAMAAAABCAIAAACUgoPjAAAAD0lEQVR42mP4z8AAREACAA/6Av4WNWamAAAAAElFTkSuQmCC
map_rgb=iVBORw0KGgoAAAANSUhEUgAAAAMAAAABCAIAAACUgoPjAAAAD0lEQVR42mP4zwAEQOI/AA38Av5xeFX8AAAAAElFTkSuQmCC
square=iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAAAAADbboAnAAAAEUlEQVR42mNgQID/QECIAQEArpUP8T17hWEAAAAASUVORK5CYII=
black=iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAAAAADbboAnAAAADElEQVR42mNgIAcAAAA2AAGIiWqBAAAAAElFTkSuQmCC
line=iVBORw0KGgoAAAANSUhEUgAAAAQAAAABCAAAAADcV1ARAAAADUlEQVR42mNg+P//PwAF/wL+gVApvQAAAABJRU5ErkJggg==
part=iVBORw0KGgoAAAANSUhEUgAAAAQAAAABCAAAAADcV1ARAAAADUlEQVR42mNgYPj/HwADAgH/OSkZvgAAAABJRU5ErkJggg==
deep=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABEAAAAABq7kcWAAAAC0lEQVR42mNgYAcAAAoACEAB/hcAAAAASUVORK5CYII=
bomb=iVBORw0KGgoAAAANSUhEUgAAQAAAACAACAAAAAAHFQO9AAAADElEQVR4nGNgoD0AAABkAAGGZDw1AAAAAElFTkSuQmCC

# ---- classes: 0 has 3 of 5 pixels and 3 of the truth's 4, 1 has 2 of 3 and of 3, 2 is in the map alone ----
fresh; put truth/a.png "$truth_grey"; put maps/a.png "$map_grey"
compare --kind segmentation --ignore 255 truth maps; is "$code $told" "0 " "maps of classes"
is "$said" 'images    1
mIoU      0.4222
mAcc      0.7083
aAcc      0.7143
ignored   1

CLASS  IoU     Acc     TRUTH  MAPS
0      0.6000  0.7500  4      4
1      0.6667  0.6667  3      2
2      0.0000  -       0      1' "their scores, and a line a class"
compare --kind segmentation truth maps; like "$said" $'\nmIoU      0.2750.*\n255    0.0000  0.0000  1      0' "nothing is left out that was not named"
put truth/b.png "$truth_rgb"; put maps/b.png "$map_rgb"; : > maps/.DS_Store
compare --kind segmentation --ignore 255 --json truth maps; is "$code" 0 "colours are classes, over all maps"
like "$(tr -d ' \n' <<< "$said")" '^\{"kind":"segmentation","images":2,"mIoU":0.45.*,"ignored_pixels":1,.*"class":"#0000ff","IoU":0.5,"Acc":1.0,"truth_pixels":1,"map_pixels":2' "as JSON"
compare --kind segmentation --ignore '#0000ff' truth maps; like "$said" $'\nignored   1\n' "a colour can be left out"

# ---- landmarks: 5 and 1 apart; with half of the truth 5 and the root of 5, and in another image 2 ----
fresh; echo '[[0, 0], [4, 0]]' > truth/a.json; echo '[[3, 4], [4.0, 1]]' > maps/a.json
compare --kind landmark truth maps; is "$code $said" $'0 images    1\ncompared  1\nnone      0 in the truth, 0 in the maps\ndistance  3.0000' "landmarks"
echo '[[2, 2]]' > truth/b.json; echo '[[1, 3]]' > maps/b.json; echo null > truth/c.json; echo '[[1, 3]]' > maps/c.json; echo '[[1, 3]]' > truth/d.json; echo '[]' > maps/d.json
compare --kind landmark --scale 0.5 --json truth maps
like "$(tr -d ' \n' <<< "$said")" '^\{"kind":"landmark","images":4,"distance":2.80901699437[0-9]*,"compared":2,"not_detected":\{"truth":1,"maps":1\}\}$' "another scale, and images without any"
echo '[[1, 3], [1, 3]]' > maps/b.json; compare --kind landmark truth maps; refused "another number of points" 'maps/b.json has 2 points, and /.*truth/b.json 1'
for bad in '{"points": []}|a list of \[x, y\], not an object' '[[1, NaN]]|line 1, column' '[[1, 1e300]]|point 1: y is 1e\+300' '[[1, 2, 3]]|point 1 must be a list' '[[1, 2], [1,|line 2, column 0: the text ends'; do
  echo "${bad%%|*}" > maps/b.json; compare --kind landmark truth maps; refused "${bad%%|*}" "maps/b.json: .*${bad##*|}"
done
echo null > truth/a.json; echo '[]' > maps/b.json; compare --kind landmark truth maps; refused "no landmarks at all" 'no image has landmarks in both folders: of 4, 2 have none in /.*/truth and 2 none in /.*/maps'

# ---- edges ----
fresh; put truth/a.png "$line"; put maps/a.png "$part"; put truth/b.png "$square"; put maps/b.png "$square"
compare --kind edges truth maps; is "$code $said" $'0 images    2\nIoU       0.8333\nF1        0.9000' "maps of edges"
put maps/a.png "$truth_grey"; put truth/a.png "$map_grey"; compare --kind edges truth maps; refused "a picture is no map of edges" 'truth/a.png: it is no map of edges: the pixel in column 4 of row 1 is #010101'
put truth/a.png "$square"; put maps/a.png "$black"; compare --kind canny truth maps; is "$code $said" $'0 images    2\nIoU       0.5000\nF1        0.5000' "pictures, by the edges that jobs find"

# ---- what cannot be compared ----
fresh; compare --kind edges truth maps; refused "an empty folder" 'truth has no file'
put truth/a.png "$square"; put truth/b.png "$square"; put maps/a.png "$square"
compare --kind edges truth maps; refused "a file without a partner" '1 of the 2 files of /.*/truth have no partner of that name in /.*/maps; the first is b.png'
put maps/b.png "$square"; put maps/c.png "$square"
compare --kind edges truth maps; refused "or that alone has none in the truth" '1 of the 3 files of /.*/maps .*; the first is c.png'
rm maps/c.png; put maps/b.png "$line"; compare --kind segmentation truth maps; refused "another size" 'maps/b.png is 4 x 1 pixels, and /.*truth/b.png 8 x 6'
base64 -d <<< "$square" | head -c 60 > maps/b.png; compare --kind segmentation truth maps; refused "a truncated PNG" 'maps/b.png: the PNG is truncated after 60 bytes'
compare --kind canny truth maps; refused "as a picture too" 'maps/b.png: the PNG is truncated after 60 bytes'
put maps/b.png "$deep"; compare --kind segmentation truth maps; refused "16 bits a channel" 'maps/b.png: the PNG has 16 bits a channel'
put maps/b.png "$bomb"; compare --kind segmentation truth maps; refused "a bomb" 'maps/b.png: the image is 16384 x 8192 pixels; at most'
echo text > maps/b.png; compare --kind segmentation truth maps; refused "a text" 'maps/b.png: the file does not begin as a PNG does'
rm maps/b.png; mkdir maps/b.png; compare --kind segmentation truth maps; refused "a folder in the folder" 'maps/b.png is no file: maps lie side by side'
rm -r maps/b.png; put $'maps/\e[2J.png' "$square"; compare --kind edges truth maps; unlike "$told" $'\e' "a name cannot drive the terminal"

# ---- wrong usage ----
fresh; put truth/a.png "$square"; put maps/a.png "$square"
compare truth maps; is "$code" 2 "no kind"; like "$told" '--kind is missing: segmentation, landmark, canny or edges' "is asked for"
compare --kind depth truth maps; is "$code" 2 "a kind that is none"; like "$told" 'not "depth"' "is named"
for wrong in '256' '#fff' '-1' 'sky' '#00000g'; do compare --kind segmentation --ignore="$wrong" truth maps; is "$code" 2 "--ignore $wrong"; done
compare --kind edges --ignore 3 truth maps; like "$code $told" '^2 .*--ignore is for --kind segmentation' "--ignore of edges"
compare --kind edges --scale 2 truth maps; like "$code $told" '^2 .*--scale is for --kind landmark' "--scale of edges"
for wrong in 0 -1 nan 1e300; do compare --kind landmark --scale="$wrong" truth maps; is "$code" 2 "--scale $wrong"; done
compare --kind edges truth; is "$code" 2 "one folder"
compare --kind edges truth none; is "$code" 5 "a folder that is not there"; like "$told" 'none: No such file' "is named"
odd=$'m\xff'; cp -r maps "$odd"; compare --kind edges truth "$odd"; is "$code" 5 "a folder whose name is not UTF-8"; like "$told" 'must be UTF-8' "is told so"
compare --kind edges truth maps/a.png; is "$code" 5 "a file for a folder"; like "$told" 'maps/a.png: Not a directory' "is named"
finish
