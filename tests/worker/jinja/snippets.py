"""Small templates, one for each corner of the language; ../chat/make_fixtures.py renders them with Jinja."""

CONTEXT = {
    "bos_token": "<s>", "eos_token": "</s>", "n": 7, "z": 0, "neg": -3, "x": 2.5, "s": "Hello World", "e": "",
    "u": "Größe 日本 🎉 Ünï", "sp": " \t pad\u00a0 \n", "t": True, "f": False, "none_v": None,
    "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "nested": [[1, 2], [3, [4]]], "el": [],
    "d": {"a": 1, "b": {"c": [1, 2, {"k": "v"}]}, "items": "own"}, "ed": {},
    "people": [{"name": "bob", "age": 3, "on": True}, {"name": "Al", "age": 1, "on": False},
               {"name": "cy", "age": 2}],
    "html": "<b>\"q\" & 'a'</b>", "q": "it's \"both\"", "lines": "one\ntwo\r\n\nthree\n",
}

EXPRESSIONS = r"""
1 + 2 * 3
(1 + 2) * 3
7 // 2
-7 // 2
7 % 3
-7 % 3
7 % -3
7 / 2
6 / 3
2 ** 10
2 ** -1
-2 ** 2
2 ** 3 ** 2
7.5 // 2
-7.5 % 2
1e3
1.5e-7
1e22
123456789012345680.0
0.1 + 0.2
1_000
0x1F
0b101
0o17
100000000000000.0
1e16
1.0
x * 2
n - -1
- n
+ n
not t
not not t
true and false
true or false
none or 'd'
'' or 'd'
0 and 1
n and s
1 if t else 2
1 if f else 2
1 if f
1 if f else 2 if f else 3
(1 if t) is defined
1 < 2 < 3
1 < 2 > 3
1 == 1.0
true == 1
'a' == 'a'
'a' < 'b'
[1, 2] < [1, 3]
[1, 2] == [1, 2]
(1, 2) == (1, 2)
[1, 2] == (1, 2)
{'a': 1} == {'a': 1.0}
1 in [1, 2]
3 not in [1, 2]
'a' in 'abc'
'z' not in 'abc'
'a' in d
'zz' in d
1 in l
none in [none]
missing == missing2
missing == none
missing != 1
not missing
missing
missing ~ 'x'
'a' ~ 1 ~ 2.0 ~ none ~ true
'a' + 'b'
'ab' * 3
3 * 'ab'
'ab' * -1
[1] * 3
[1] + [2]
(1,) + (2,)
'a' 'b' "c"
'\n\t\x41\u00e9\U0001F389\101\q\''
"it's"
s[0]
s[-1]
s[100]
s[1:4]
s[:-1]
s[::-1]
s[::2]
s[-3:]
s[5:2]
s[10:1:-3]
s[-100:100]
u[0]
u[6:9]
u[::-1]
u[-4:]
u | length
l[0]
l[-1]
l[9]
l[::-1]
l[1:]
l[:1]
l[2::-1]
l[True]
l.0
nested[1][1][0]
nested.1.0
d.a
d['a']
d.b.c[2].k
d['b']['c'][2]['k']
d.zz
d['zz']
d.zz is defined
d.items is defined
d['items']
d.get('a')
d.get('zz')
d.get('zz', 5)
d.keys() | list
d.values() | list
d.b.items() | list
ed.items() | list
none_v.x
none_v['x'] is undefined
n.x is defined
s.nothing is defined
s.upper()
s.lower()
s.title()
s.capitalize()
s.split()
s.split('o')
s.split('o', 1)
s.rsplit('o', 1)
' a  b c '.split()
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
' a  b c '.split(maxsplit=1)
'a,b,,c'.split(',')
''.split(',')
''.split()
'abc'.split('abc')
s.startswith('He')
s.startswith(('x', 'He'))
s.endswith('ld')
s.endswith('')
s.find('o')
s.find('zz')
s.find('o', 5)
s.rfind('o')
s.index('W')
s.count('l')
s.count('')
u.find('日')
s.replace('l', 'L')
s.replace('l', 'L', 1)
'abc'.replace('', '-')
'abc'.replace('', '-', 2)
''.replace('', 'x')
sp.strip()
sp.lstrip()
sp.rstrip()
'xxaxx'.strip('x')
'xyaxy'.lstrip('yx')
'xyaxy'.rstrip('yx')
'日a日'.strip('日')
lines.splitlines()
lines.splitlines(true)
'-'.join(['a', 'b'])
'-'.join('abc')
''.join([])
'abc'.removeprefix('a')
'abc'.removesuffix('bc')
'12'.isdigit()
''.isdigit()
' '.isspace()
s | upper
s | lower
u | upper
u | lower
'straße' | upper
'ŸÉ' | lower
s | title
"it's a-b (c) d_e" | title
"it's a-b (c) d_e".title()
s | capitalize
u | capitalize
sp | trim
'xxaxx' | trim('x')
none | trim
1 | trim
missing | trim
missing | upper
none | upper
s | length
l | length
d | length
missing | length
s | count
e | length
s | replace('o', '0')
s | replace('o', '0', 1)
112 | replace(1, 'x')
l | join
l | join(', ')
ls | join('-') | upper
s | join('.')
people | join(', ', attribute='name')
d | join(',')
missing | join(',')
missing | default('x')
missing | d('x')
missing | default
none_v | default('x')
none_v | default('x', true)
e | default('x', boolean=true)
f | default('x', true)
missing.a | default('x')
d.zz | default('x')
l | first
l | last
el | first
el | first is defined
s | first
s | last
d | first
l | list
s | list
d | list
range(3) | list
range(2, 8, 3) | list
range(5, 0, -2) | list
range(0) | list
range(3) | length
l | sort
ls | sort
ls | sort(case_sensitive=true)
l | sort(reverse=true)
people | sort(attribute='age') | map(attribute='name') | list
people | sort(attribute='name') | map(attribute='name') | list
l | reverse | list
s | reverse
people | map(attribute='name') | list
people | map(attribute='zz') | list
people | map(attribute='zz', default='q') | list
people | map(attribute='name') | map('upper') | join(',')
ls | map('replace', 'a', 'x') | list
l | map('string') | list
nested | map(attribute=0) | list
nested | map('first') | list
[d] | map(attribute='b.c.2.k') | list
l | select('odd') | list
l | select('gt', 1) | list
l | select('divisibleby', 3) | list
[0, 1, '', 'a', none] | select | list
[0, 1, '', 'a', none] | reject | list
l | reject('equalto', 2) | list
people | selectattr('on') | map(attribute='name') | list
people | selectattr('age', 'ge', 2) | map(attribute='name') | list
people | selectattr('name', 'equalto', 'cy') | list
people | selectattr('on', 'defined') | list | length
people | rejectattr('on') | map(attribute='name') | list
people | rejectattr('age', 'in', [1, 2]) | map(attribute='name') | list
people | selectattr('name', 'eq', 'bob') | first
d.b | items | list
missing | items | list
d.b | dictsort
{'b': 1, 'A': 2} | dictsort
{'b': 1, 'A': 2} | dictsort(true)
{'b': 1, 'A': 2} | dictsort(false, 'value')
{'b': 1, 'A': 2} | dictsort(reverse=true)
[1, 2, 1, 3] | unique | list
['a', 'A', 'b'] | unique | list
['a', 'A', 'b'] | unique(true) | list
l | min
l | max
ls | min
el | min is defined
people | max(attribute='age')
l | sum
people | sum(attribute='age')
el | sum
l | sum(start=10)
[1, 2, 3, 4, 5] | batch(2) | list
[1, 2, 3, 4, 5] | batch(2, 'x') | list
-3 | abs
neg | abs
-2.5 | abs
2.567 | round(2)
2.5 | round
3.5 | round
2.1 | round(0, 'ceil')
2.9 | round(method='floor')
5 | round
'42' | int
'42.9' | int
' 7 ' | int
'x' | int
'x' | int(5)
none | int
'ff' | int(base=16)
'0x1A' | int(0, 16)
3.99 | int
-3.99 | int
true | int
'1.5' | float
'x' | float
'x' | float(2.5)
3 | float
'1e3' | float
1 | string
1.0 | string
none | string
[1, 'a'] | string
missing | string
lines | indent
lines | indent(2)
lines | indent(2, true)
lines | indent(2, false, true)
lines | indent('> ')
'a' | indent
html | escape
html | e
html | safe
html | e | e
(html | e) ~ '<'
(html | safe) + '<'
'<' + (html | safe)
d | tojson
d | tojson(indent=2)
d | tojson(indent=4)
l | tojson(indent=0)
el | tojson(indent=2)
ed | tojson(indent=2)
d | tojson(sort_keys=true)
d | tojson(separators=(',', ':'))
u | tojson
u | tojson(ensure_ascii=true)
q | tojson
"a\nb\t\"\\/\x01\x7f\b\f" | tojson
none | tojson
true | tojson
[1.0, 1e30, 0.1, -5, none, true] | tojson
{1: 'a', true: 'b', none: 'c', 1.5: 'd'} | tojson
(1, 2) | tojson
x | tojson
{'b': 1, 'a': [1, {'z': 1, 'y': 2}]} | tojson(indent=2, sort_keys=true)
[1, 2.5, 'a', none, true, [], {}, ()]
(1,)
(1, 2)
()
{'a': 'b', 1: 2}
[q, "it's", '"', 'a\\b', 'tab\t', 'é', '\u200b', '\x00x' if f else 'y']
[u]
{'a': none}
[missing]
'%s is %d' % ('a', 3)
'%s' % 'x'
'%.2f' % 3.14159
'%%' % ()
'%d%%' % 50
'%s' % [1, 2]
'%r' % 'a'
1 is odd
2 is even
9 is divisibleby 3
9 is divisibleby(4)
s is string
n is number
x is number
t is number
n is integer
t is integer
x is integer
x is float
t is boolean
n is boolean
t is true
f is false
n is true
d is mapping
l is mapping
l is iterable
s is iterable
n is iterable
d is iterable
l is sequence
s is sequence
d is sequence
n is sequence
range is callable
s is callable
none is none
e is none
missing is none
missing is defined
missing is not defined
missing is undefined
n is defined
n is eq 7
n is equalto(7)
n is ne 7
n is gt 3
n is lessthan 3
n is in [7, 8]
n is not in [7, 8]
'a' is in 'abc'
'a' is lower
'A' is upper
'1' is lower
none is sameas none
true is sameas true
n is sameas none
not n is none
n is defined and s is defined
n + 1 is number
'x' if missing is defined else 'y'
'upper' is filter
'nope' is filter
'odd' is test
namespace(a=1).a
namespace().zz is defined
namespace(d.b).c
dict(a=1, b=2)
dict([('a', 1)])
dict({'x': 1}, y=2)
n|string ~ '!'
-1|abs
- 1 | abs
(n, s)[0]
[1, 2, 3][-2:]
{'a': [1, 2]}['a'][1]
{'a': 1,}
[1, 2,]
('a' ~ 'b') | upper
'a' ~ 'b' | upper
'b' in 'a' ~ 'b'
1 + 1 ~ 1 + 1
s[0:1] ~ s[1:2]
not 1 == 2
not 'a' in 'b'
1 if 'a' in 'b' else 2
(s if s else 'x').upper()
(l | first) + 1
l | map('abs') | sum
d.b.c | last
l is eq [3, 1, 2]
'\\d'
'a\
b'
'{{ x }}'
"{% raw %}"
loop is defined
true is boolean
none_v is none and not none_v
missing or 'fallback'
l and 'full' or 'empty'
el and 'full' or 'empty'
lines | length
l + el
s.split(' ')[0]
s.split(' ')[-1][::-1]
s.strip('Hd').split('o')[1].lower() | capitalize
people[0].name ~ people[-1]['name']
people | length > 2
people | map(attribute='name') | first
people | first == people[0]
'a' < 'B'
'a' == none
3 == '3'
1.0 is eq 1
l.index(1)
l.count(2)
(1, 2).index(2)
l.copy()
range(3)[1]
-0.0
1 - 1.0
10 // 3.0
1e400
""
"""

# Whole templates: statements and white space.
TEMPLATES = [
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "  {% if t %}\n  b\n  {% endif %}\n  c", "a {%- if t -%} b {%- endif -%} c",
    "x   {% if t %}y{% endif %}   z", "  {%+ if t %}y{% endif %}", "{% if t +%}\ny{% endif %}",
    "a\n\n{{ n }}\n\nb", "a\n  {{- n -}}  \n b", "  {{ n }}", "{# c #}\nx", "a {# c #} b", "a\n  {#- c -#}\n b", "{#+ c +#}\nx",
    "  {# c #}\n  x", "a{% raw %}{{ n }} {% if %}{% endraw %}b", "{% raw -%}\n  {{ x }}\n{%- endraw %}\nq",
    "  {% raw %}  a  {% endraw %}\n b", "a\r\nb\r{{ n }}\r\n", "a\n\n", "\n", "", "{{ n }}{{ s }}", "{{ n }}\n{{ s }}\n",
    "{% if t %}{{ n }}   {% endif %}", "   {% if t %}   {% if t %}x{% endif %}{% endif %}\n",
    "{{ n }}  {% if t %}x{% endif %}", "\n   {% if t %}x{% endif %}",
    "{% if f %}1{% elif n == 7 %}2{% elif t %}3{% else %}4{% endif %}", "{% if f %}1{% elif f %}2{% else %}4{% endif %}",
    "{% for i in l %}{{ i }},{% endfor %}", "{% for i in el %}x{% else %}none{% endfor %}",
    "{% for i in l if i > 1 %}{{ i }}{{ loop.index }}{{ loop.length }}{% endfor %}",
    "{% for i in l if i > 5 %}{{ i }}{% else %}no{% endfor %}",
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}"
    "{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }}{{ loop.previtem is defined }};{% endfor %}",
    "{% for i in l %}{{ loop.cycle('a', 'b') }}{{ loop.depth }}{% endfor %}",
    "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% for j in l %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }}{{ loop.index }} {% endfor %}"
    "{{ loop.index }}|{% endfor %}",
    "{% for k, v in d.b.items() %}{{ k }}={{ v }}{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), (4, (5, 6))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for c in u %}[{{ c }}]{% endfor %}", "{% for i in missing %}x{% else %}y{% endfor %}",
    "{% for i in range(3) %}{{ i }}{% endfor %}", "{% for i in 1, 2, 3 %}{{ i }}{% endfor %}",
    "{% for m in people | selectattr('on') %}{{ m.name }}{% endfor %}",
    "{% for m in people[::-1] %}{{ m.name }}{{ loop.last }}{% endfor %}",
    "{% for i in l | reverse %}{{ i }}{{ loop.last }}{% endfor %}",
    "{% set g = l | map('string') %}{{ g | join }}|{{ g | join }}|{{ g | list }}",
    "{% set a = 1 %}{% for i in l %}{{ a }}{% set a = a + 1 %}{{ a }}{% endfor %}{{ a }}",
    "{% set a = 1 %}{% if t %}{% set a = 2 %}{% endif %}{{ a }}", "{% for i in l %}{{ y is defined }}{% set y = 1 %}{% endfor %}",
    "{% set ns = namespace(a=1) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}",
    "{% set ns = namespace() %}{% set ns.q = 'v' %}{{ ns.q }}{{ ns['q'] }}{{ ns.w is defined }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1, 2] %}{{ a }}{{ b }}", "{% set (a, b) = (1, 2) %}{{ a }}{{ b }}",
    "{% set a %}x{{ n }}y{% endset %}{{ a }}{{ a | length }}", "{% set a | upper %}x{{ n }}y{% endset %}{{ a }}",
    "{% set a | upper | replace('X', 'z') %}x{{ n }}y{% endset %}{{ a }}", "{% set a = (1, 2) %}{{ a }}", "{% set a = 1, %}{{ a }}",
    "{% filter upper %}x{{ n }}y{% endfilter %}", "{% filter replace('x', 'q') | upper %}x{{ n }}y{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% with %}{% set a = 3 %}{{ a }}{% endwith %}{{ a is defined }}",
    "{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='z') }}{{ m(a=5) }}{{ m() }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}",
    "{% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(5) }}",
    "{% macro m() %}{{ q2 }}{% endmacro %}{% set q2 = 'late' %}{{ m() }}", "{% macro m(x) -%}  {{ x }}  {%- endmacro %}<{{ m('a') | upper }}>",
    "{% macro m(x) %}{{ x }}{% endmacro %}{% set y = m('q') ~ m('w') %}{{ y }}{{ y | length }}",
    "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% if l is string %}1{% elif l is iterable and l is not mapping %}2{% endif %}",
    "{%- if messages | length %}x{% else %}y{% endif -%}", "{{ messages }}{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}",
    "{% generation %}x{% endgeneration %}y", "{% for i in l %}{% generation %}{{ i }}{% endgeneration %};{% endfor %}",
    "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}",
    "{{ '{%' }}{{ '%}' }}{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a':{'b':1}} }}", "{{ 'a' -}}   b", "{{ 1 -}}\n\n{{- 2 }}",
    "{% if t: %}x{% endif %}", "{{ l[0] if l else 'e' }}{{ (l | length) - 1 }}{{ l[l | length - 1] }}",
    "{% for i in range(2) %}\n  {{ i }}\n{% endfor %}\n", "{%- for i in range(2) -%}\n  {{ i }}\n{%- endfor -%}\n",
    "\t{% if t %}\n\tx\n\t{% endif %}\n", "\u00a0{% if t %}x{% endif %}", "{%if t%}x{%endif%}", "{%-if t-%} x {%-endif-%}", "{{n}}", "{{-n-}}",
    "a{%- set b = 1 -%}\n\n  c", "{% set b = 1 %}\n\nc", "{{ n }}{# x #}{{ s }}", "{{ n,s }}", "é{{ u[0] }}日",
    "{% for i in l %}{{ loop.index }}{% endfor %}{{ loop is defined }}", "{{ strftime_now('%%') }}",
    "{% for x in people if x.on %}{% set n2 = loop.index %}{{ n2 }}{% endfor %}",
    "{% set ns = namespace(found=false) %}{% for i in l if not ns.found %}{{ i }}{% set ns.found = true %}{% endfor %}",
]

# What Jinja refuses, while parsing or rendering.
FAILURES = [
    "{{ missing.a }}", "{{ missing + 1 }}", "{{ missing['a'] }}", "{{ missing() }}", "{{ missing < 1 }}", "{{ -missing }}", "{{ d.zz.y }}",
    "{{ none_v.x.y }}", "{{ 'a' + 1 }}", "{{ 1 + 'a' }}", "{{ none + 'a' }}", "{{ 'a' - 'b' }}", "{{ 1 / 0 }}", "{{ 1 // 0 }}",
    "{{ 1 % 0 }}", "{{ 1 < 'a' }}", "{{ [1] < [none] }}", "{{ none < 1 }}", "{{ none | length }}", "{{ 5 | length }}",
    "{% for i in 5 %}{% endfor %}", "{% for i in none %}{% endfor %}", "{{ 1 in 5 }}", "{{ 1 in 'abc' }}", "{{ 'a' in none }}",
    "{{ s() }}", "{{ s.upper(1) }}", "{{ s.index('zz') }}", "{{ 'a'.split('') }}", "{{ l['a']['b'] }}", "{{ l[::0] }}",
    "{{ d[1:2] }}", "{{ {[1]: 2} }}", "{{ missing | tojson }}", "{{ range | tojson }}", "{{ missing | int }}", "{{ 5 | join }}",
    "{{ 'a' | round }}", "{{ l | sum(start='a') }}", "{{ ['a', 1] | sort }}", "{{ s | dictsort }}", "{{ s | items | list }}",
    "{% set a, b = [1] %}", "{% set a, b = [1, 2, 3] %}", "{% set d.a = 1 %}", "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "{{ namespace(_a=1) }}", "{{ l.append(1) }}", "{{ d.update({}) }}", "{{ d.pop('a') }}", "{{ range(1000000) | length }}", "{{ range(1, 2, 0) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}",
    "{{ '%d' % 'a' }}", "{{ '%s %s' % 'a' }}", "{{ '%s' % ('a', 'b') }}", "{{ 9 is divisibleby }}", "{{ s | replace('a') }}", "{{ s | upper(1) }}",
    "{{ l | map('nope') | list }}", "{{ l | select('nope') | list }}", "{{ s | nope }}", "{{ s is nope }}",
    "{% if %}x{% endif %}", "{% if t %}", "{% endif %}", "{% for i l %}{% endfor %}", "{% for 1 in l %}{% endfor %}", "{{ }}", "{{ 1 + }}",
    "{{ (1 }}", "{{ [1 }}", "{{ 1) }}", "{{ 'a }}", "{{ 1 2 }}", "{% set a %}", "{% set 1 = 2 %}", "{% set true = 2 %}", "{% break %}",
    "{# x", "{{ x", "{% if t", "{% bogus %}", "{{ a.1.b.'c' }}", "{{ m(a=1, 2) }}", "{{ a b }}", "{{ 1 is is 2 }}", "{% else %}",
    "{% for i in l %}{% else %}", "{% macro (a) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% endfor %}", "{{ x | }}", "{{ ! }}",
    "{{ d.b.c.append(3) }}", "{{ '\\x4' }}", "{{ 'a' ~ }}", "{% generation %}", "{{ [1, 2 | length }}", "{{ {1} }}", "{{ {1: } }}",
]
