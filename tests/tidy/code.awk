# Prints the lines whose code, without comments and strings, matches `pattern`.
FNR == 1 { comment = 0 }
{
  line = $0
  gsub(/\\\\/, "", line)
  gsub(/\\"/, "", line)
  gsub(/"[^"]*"/, "\"\"", line)
  code = ""
  while (line != "") {
    if (comment) {
      at = index(line, "*/")
      if (!at)
        break
      line = substr(line, at + 2)
      comment = 0
    } else {
      at = index(line, "/*")
      slashes = index(line, "//")
      if (slashes && (!at || slashes < at))
        line = substr(line, 1, slashes - 1)
      if (!at || (slashes && slashes < at)) {
        code = code line
        break
      }
      code = code substr(line, 1, at - 1)
      line = substr(line, at + 2)
      comment = 1
    }
  }
  if (code ~ pattern)
    print FILENAME ":" FNR ": " $0
}
