# A function that is not static begins with the first word of the file it is in, or of a header that
# declares it ("job_" in job_write.c, "stmt_" if stmt.h declares it), or of a struct or enum which that
# header defines; plurals count as their singular. Handlers are named http_<operation> by
# endpoints.def. The first file lists the exceptions: "path function".
FILENAME ~ /names\.txt$/ {
  if ($0 !~ /^#/ && NF == 2)
    exception[$1 " " $2] = 1
  next
}

function first_word(text) {
  sub(/.*\//, "", text)
  sub(/[._].*/, "", text)
  return text
}

function begins(name, prefix,    singular) {
  singular = prefix
  sub(/s$/, "", singular)
  return name == prefix || index(name, prefix "_") == 1 || index(name, singular "_") == 1
}

FILENAME ~ /\.h$/ && /^(struct|enum) [a-z0-9_]+ \{/ {
  owned[FILENAME] = owned[FILENAME] " " $2
}

# Where a function's name stands at the beginning of a declaration or definition.
/^[A-Za-z_].*[A-Za-z0-9_]\(/ && !/^(typedef|#|extern|else)/ && !/^(NORETURN )?static/ && !/^[A-Z_0-9]+\(/ {
  match($0, /[a-z_][a-z0-9_]*\(/)
  if (!RSTART)
    next
  name = substr($0, RSTART, RLENGTH - 1)
  if (FILENAME ~ /\.h$/)
    declared[name] = declared[name] " " FILENAME
  else if (!/;[ \t]*$/)
    found[++n] = FILENAME " " name " " FNR
}

function good(path, name,    count, header, i, types, type, t) {
  if (name == "main" || (path " " name) in exception || begins(name, first_word(path)))
    return 1
  if (path ~ /^server\/http\// && index(name, "http_") == 1)
    return 1
  count = split(declared[name], header, " ")
  for (i = 1; i <= count; i++) {
    if (begins(name, first_word(header[i])))
      return 1
    types = split(owned[header[i]], type, " ")
    for (t = 1; t <= types; t++)
      if (begins(name, first_word(type[t])))
        return 1
  }
  return 0
}

END {
  for (i = 1; i <= n; i++) {
    split(found[i], f, " ")
    if (!good(f[1], f[2]))
      print f[1] ":" f[3] ": " f[2] " begins neither with its file nor with the header that declares it"
  }
}
