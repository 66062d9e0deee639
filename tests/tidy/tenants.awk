# Statements over rows of tenants that do not name the tenant, and calls from where clients are answered of what looks
# past it. tenants.txt lists the functions that need not name it: "NAME row": what it takes stands in a row that was
# fetched with the tenant's name; "NAME daemon": it is for what the daemon does by itself, and never called from
# server/http/; "storage/NAME operator": the whole file is for who owns the folder, and never included there.
FILENAME ~ /tenants\.txt$/ {
  if ($1 != "" && $1 !~ /^#/)
    kind[$1] = $2
  next
}

FNR == 1 { sql = ""; name = "" }

function base(  path) {
  path = FILENAME
  sub(/\.[ch]$/, "", path)
  return path
}

function check() {
  own = sql ~ /(FROM|INTO|UPDATE|JOIN) (OR [A-Z]+ )?(job|file|job_metadata|api_key|audit|webhook_endpoint|upload|sweep)([^a-z_]|$)/
  of_job = sql ~ /(FROM|INTO|UPDATE) (event|checkpoint|artifact|export|training_state|webhook_delivery|upload_part)([^a-z_]|$)/
  if (((own && sql !~ /(tenant|owner)( =|\)|,)/) || of_job) && !(name in kind) && !(base() in kind) && !(of_job && sql ~ /tenant =/))
    print FILENAME ":" line ": " name ": no tenant is named: " substr(sql, 1, 90)
  sql = ""
}

FILENAME ~ /^storage\// {
  text = $0
  if (text ~ /^[a-z].*\(/ && text !~ /;$/) {
    name = text
    sub(/\(.*/, "", name)
    sub(/.*[ *]/, "", name)
  }
  while (match(text, /"([^"\\]|\\.)*"/)) {
    between = substr(text, 1, RSTART - 1)
    if (between ~ /[^ \t]/) # another statement: parts of one have nothing but a line's end between them
      check()
    if (sql == "")
      line = FNR
    sql = sql substr(text, RSTART + 1, RLENGTH - 2)
    text = substr(text, RSTART + RLENGTH)
  }
  if (text ~ /[^ \t]/)
    check()
}

FILENAME ~ /^server\/http\// {
  for (f in kind)
    if (kind[f] == "daemon" && index($0, f "("))
      print FILENAME ":" FNR ": " f " looks past the tenant"
    else if (kind[f] == "operator" && index($0, "\"" f ".h\""))
      print FILENAME ":" FNR ": " f ".h looks past the tenant"
}
