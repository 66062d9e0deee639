# Reads the two tables of ARCHITECTURE.md (the first file), then checks the includes of the others. The row of a file is
# that of the deepest folder which it is in ("worker/text" before "worker"). No two rows may include each other, not by
# way of others either; a single header in a row leads where its own includes lead.
function trim(text) {
  gsub(/^[ \t`]+|[ \t`]+$/, "", text)
  return text
}

FILENAME == "ARCHITECTURE.md" {
  if ($0 !~ /^\|/) {
    table = ""
    next
  }
  count = split($0, cell, "|")
  left = trim(cell[2])
  right = trim(cell[3])
  gsub(/`/, "", right)
  if (left == "folder" && right == "may include")
    table = "folder"
  else if (left == "header" && right == "home")
    table = "header"
  else if (left !~ /^-+$/ && table == "folder") {
    allowed[left] = right
    folders++
  } else if (left !~ /^-+$/ && table == "header") {
    home[left] = right
    homes++
  }
  next
}

# Is `path` in the list "base, worker, storage/artifact.h, server/http/"?
function in_list(path, list,    n, part, i) {
  n = split(list, part, ",")
  for (i = 1; i <= n; i++) {
    part[i] = trim(part[i])
    if (path == part[i] || index(path, part[i] (part[i] ~ /\/$/ ? "" : "/")) == 1)
      return 1
  }
  return 0
}

# The deepest folder with a row that the file is in; "" if there is none.
function row_of(path) {
  while (sub(/\/[^\/]*$/, "", path))
    if (path in allowed)
      return path
  return ""
}

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
  match($0, /["<][^">]*/)
  path = substr($0, RSTART + 1, RLENGTH - 1)
  folder = row_of(FILENAME)
  used[folder] = 1
  if (FILENAME ~ /\.h$/ && $0 ~ /"/)
    includes[FILENAME] = includes[FILENAME] " " path
  if (folder == "")
    print FILENAME ":" FNR ": ARCHITECTURE.md has no row for its folder"
  else if ($0 ~ /"/ && !in_list(path, allowed[folder]))
    print FILENAME ":" FNR ": " folder " may not include \"" path "\""
  if ($0 ~ /</ && (path in home) && !in_list(FILENAME, home[path]))
    print FILENAME ":" FNR ": <" path "> belongs in " home[path]
}

# Marks the rows that `from` may include, and those that these may. Single headers: see `leads_back`.
function follow(from, start,    to) {
  for (to in allowed)
    if (to != from && !((start, to) in reaches) && in_list(to, allowed[from])) {
      reaches[start, to] = 1
      follow(to, start)
    }
}

# Does the header include one of the row `start`, itself or by way of others?
function leads_back(header, start,    n, part, i) {
  if (header in seen)
    return 0
  seen[header]
  if (row_of(header) == start)
    return 1
  n = split(includes[header], part, " ")
  for (i = 1; i <= n; i++)
    if (leads_back(part[i], start))
      return 1
  return 0
}

# The single headers of the row `from`.
function check_headers(from, start,    n, part, i) {
  n = split(allowed[from], part, ",")
  for (i = 1; i <= n; i++) {
    part[i] = trim(part[i])
    delete seen
    if (part[i] ~ /\.h$/ && row_of(part[i]) != start && leads_back(part[i], start))
      print "ARCHITECTURE.md: a circle: " start " may be included by " part[i] ", which " from " may include"
  }
}

END {
  for (folder in allowed)
    follow(folder, folder)
  for (folder in allowed) {
    check_headers(folder, folder)
    for (other in allowed)
      if (other != folder && (folder, other) in reaches)
        check_headers(other, folder)
  }
  for (folder in allowed)
    if ((folder, folder) in reaches)
      print "ARCHITECTURE.md: a circle: " folder " may be included by what it may include"
  for (folder in allowed)
    if (!(folder in used))
      print "ARCHITECTURE.md: no source is below " folder ", which has a row"
  if (folders < 5 || homes < 5)
    print "ARCHITECTURE.md: the tables were not found (" folders + 0 " folders, " homes + 0 " headers)"
}
