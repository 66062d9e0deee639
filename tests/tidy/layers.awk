# Reads the two tables of ARCHITECTURE.md (the first file), then checks the includes of the others.
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

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
  match($0, /["<][^">]*/)
  path = substr($0, RSTART + 1, RLENGTH - 1)
  folder = FILENAME
  sub(/\/.*/, "", folder)
  if (!(folder in allowed))
    print FILENAME ":" FNR ": ARCHITECTURE.md has no row for " folder
  else if ($0 ~ /"/ && !in_list(path, allowed[folder]))
    print FILENAME ":" FNR ": " folder " may not include \"" path "\""
  if ($0 ~ /</ && (path in home) && !in_list(FILENAME, home[path]))
    print FILENAME ":" FNR ": <" path "> belongs in " home[path]
}

END {
  if (folders < 5 || homes < 5)
    print "ARCHITECTURE.md: the tables were not found (" folders + 0 " folders, " homes + 0 " headers)"
}
