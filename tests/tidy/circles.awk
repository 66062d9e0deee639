# The files whose includes form a circle; x.c and x.h are one file. Whatever includes none of those that are left is taken
# away, and whatever none of them includes: what remains is the circles and the ways between them.
function unit(path) {
  sub(/\.[ch]$/, "", path)
  return path
}

FNR == 1 { left[unit(FILENAME)] }

/^#include "/ {
  split($0, part, "\"")
  if (unit(part[2]) != unit(FILENAME))
    edge[unit(FILENAME), unit(part[2])]
}

END {
  do {
    delete includes
    delete included
    gone = 0
    for (e in edge) {
      split(e, end, SUBSEP)
      if (!(end[1] in left) || !(end[2] in left))
        continue
      includes[end[1]] = includes[end[1]] " " end[2]
      included[end[2]]
    }
    for (f in left)
      if (!(f in includes) || !(f in included)) {
        delete left[f]
        gone++
      }
  } while (gone)
  for (f in left)
    print f " is in a circle:" includes[f]
}
