# The members of the object at a path of a JSON document, one a line, sorted: awk -f members.awk -v path=a.b.0.c
# A number takes an item of an array. Only as much of JSON as our own answers need: no white space outside of strings.
function string(    from) {
  from = ++at
  while (substr(text, at, 1) != "\"")
    at += substr(text, at, 1) == "\\" ? 2 : 1
  return substr(text, from, at++ - from)
}
# Reads the value at `at`; `here` is its path.
function value(here,    c, key, i) {
  c = substr(text, at, 1)
  if (c == "\"") {
    string()
  } else if (c == "{" || c == "[") {
    at++
    for (i = 0; substr(text, at, 1) !~ /[]}]/; i++) {
      key = i
      if (c == "{") {
        key = string()
        at++
        if (here == path)
          print key | "sort"
      }
      value(here == "" ? key : here "." key)
      at += substr(text, at, 1) == ","
    }
    at++
  } else {
    match(substr(text, at), /^[^],}]*/)
    at += RLENGTH
  }
}
{ text = text $0 }
END { at = 1; value("") }
