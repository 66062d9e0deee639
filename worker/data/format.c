#include "worker/data/format.h"

#include <string.h>
#include <strings.h>

#include "base/attr.h"

const char *record_format_name(enum record_format format) {
  static const char *const names[RECORD_FORMAT_COUNT] = {"jsonl", "csv", "tsv"};
  CHECK(format < RECORD_FORMAT_COUNT);
  return names[format];
}

bool format_of_name(enum record_format *out, const char *filename) {
  static const struct {
    const char *extension;
    enum record_format format;
  } known[] = {{".jsonl", RECORD_JSONL},
               {".ndjson", RECORD_JSONL},
               {".json", RECORD_JSONL},
               {".csv", RECORD_CSV},
               {".tsv", RECORD_TSV}};
  const char *dot = filename ? strrchr(filename, '.') : NULL;
  for (size_t i = 0; dot && i < COUNT_OF(known); i++)
    if (strcasecmp(dot, known[i].extension) == 0) {
      *out = known[i].format;
      return true;
    }
  return false;
}

#define UNPACK "upload what is in it, unpacked, as .jsonl, .csv or .tsv"
#define EXPORT "save its table as .csv in UTF-8, or as .jsonl"
#define RECODE "save it as UTF-8"
#define PANDAS(read)                                                                                                   \
  "python3 -c 'import pandas; pandas." read ".to_json(\"data.jsonl\", orient=\"records\", lines=True,"                 \
  " force_ascii=False)'"

/* Where `binary`, the letters may begin a text as well: a control character must follow. */
static const struct {
  const char *magic;
  unsigned char length;
  bool binary;
  const char *says;
} known[] = {
    {"\xFF\xFE\0\0", 4, false, "the file is UTF-32; " RECODE},
    {"\0\0\xFE\xFF", 4, false, "the file is UTF-32; " RECODE},
    {"\xFF\xFE", 2, false, "the file is UTF-16; " RECODE},
    {"\xFE\xFF", 2, false, "the file is UTF-16; " RECODE},
    {"\x1F\x8B", 2, false, "the file is compressed by gzip; " UNPACK},
    {"BZh", 3, true, "the file is compressed by bzip2; " UNPACK},
    {"\x28\xB5\x2F\xFD", 4, false, "the file is compressed by zstd; " UNPACK},
    {"\xFD"
     "7zXZ\0",
     6, false, "the file is compressed by xz; " UNPACK},
    {"\x04\x22\x4D\x18", 4, false, "the file is compressed by lz4; " UNPACK},
    {"7z\xBC\xAF\x27\x1C", 6, false, "the file is a 7z archive; " UNPACK},
    {"Rar!\x1A\x07", 6, false, "the file is a RAR archive; " UNPACK},
    {"PK\5\6", 4, false, "the file is an empty zip archive"},
    {"PAR1", 4, true, "the file is Parquet; make JSON Lines of it: " PANDAS("read_parquet(\"data.parquet\")")},
    {"ARROW1", 6, true, "the file is Arrow; make JSON Lines of it: " PANDAS("read_feather(\"data.arrow\")")},
    {"\xFF\xFF\xFF\xFF", 4, true,
     "the file is Arrow; make JSON Lines of it: python3 -c 'from datasets import Dataset;"
     " Dataset.from_file(\"data.arrow\").to_json(\"data.jsonl\", force_ascii=False)'"},
    {"ORC", 3, true, "the file is ORC; save it as .jsonl"},
    {"Obj\x01", 4, false, "the file is Avro; save it as .jsonl"},
    {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8, false, "the file is an Office document (.xls); " EXPORT},
    {"%PDF-", 5, false, "the file is a PDF; data is text: .jsonl, .csv or .tsv"},
    {"{\\rtf", 5, false, "the file is an RTF document; save it as plain text in UTF-8"},
    {"\x93NUMPY", 6, false, "the file is a NumPy array; save it as .jsonl or .csv"},
    {"\x89HDF", 4, false, "the file is HDF5; save it as .jsonl or .csv"},
    {"SQLite format 3", 16, false, "the file is a SQLite database; save a table of it as .csv"},
    {"GGUF", 4, true, "the file is a GGUF model; models belong into the daemon's folder of models, data is uploaded"},
    {"\x89PNG", 4, false, "the file is an image; data is text: .jsonl, .csv or .tsv"},
    {"\xFF\xD8\xFF", 3, false, "the file is an image; data is text: .jsonl, .csv or .tsv"},
    {"\x80\x02", 2, false, "the file is a Python pickle; save it as .jsonl"},
    {"\x80\x03", 2, false, "the file is a Python pickle; save it as .jsonl"},
    {"\x80\x04", 2, false, "the file is a Python pickle; save it as .jsonl"},
    {"\x80\x05", 2, false, "the file is a Python pickle; save it as .jsonl"},
};

static bool begins(const char *bytes, size_t length, const char *with, size_t count) {
  return length >= count && memcmp(bytes, with, count) == 0;
}

static bool has(const char *bytes, size_t length, const char *word) {
  return memmem(bytes, length, word, strlen(word)) != NULL;
}

static bool has_control(const char *bytes, size_t length) {
  for (size_t i = 0; i < length && i < 4096; i++)
    if ((unsigned char)bytes[i] < '\t')
      return true;
  return false;
}

static const char a_zip[] = "the file is a zip archive; " UNPACK;

/* An entry's name is in the first bytes, as archives of office documents begin. */
static const char *zip(const char *bytes, size_t length) {
  if (has(bytes, length, "opendocument.spreadsheet"))
    return "the file is an OpenDocument spreadsheet (.ods); " EXPORT;
  if (has(bytes, length, "xl/"))
    return "the file is an Excel workbook (.xlsx); make JSON Lines of it: " PANDAS(
        "read_excel(\"data.xlsx\")") ", or " EXPORT;
  if (has(bytes, length, "[Content_Types].xml") || has(bytes, length, "opendocument"))
    return "the file is an Office document; " EXPORT;
  return a_zip;
}

/* UTF-16 and UTF-32 without a mark, of a text that begins with two ASCII characters. */
static const char *wide(const char *bytes, size_t length) {
  unsigned nul = 0;
  if (length < 8)
    return NULL;
  for (size_t i = 0; i < 8; i++)
    nul |= (unsigned)(bytes[i] == 0) << i;
  if (nul == 0xEE || nul == 0x77)
    return "the file is UTF-32; " RECODE;
  return nul == 0xAA || nul == 0x55 ? "the file is UTF-16; " RECODE : NULL;
}

static const char *markup(const char *bytes, size_t length) {
  static const char *const html[] = {"<!doctype html", "<html", "<head", "<body"};
  size_t i = begins(bytes, length, "\xEF\xBB\xBF", 3) ? 3 : 0;
  while (i < length && bytes[i] && strchr(" \t\r\n", bytes[i]))
    i++;
  for (size_t k = 0; k < COUNT_OF(html); k++)
    if (length - i >= strlen(html[k]) && strncasecmp(bytes + i, html[k], strlen(html[k])) == 0)
      return "the file is an HTML page, perhaps that of an error or a login instead of a download";
  return begins(bytes + i, length - i, "<?xml", 5) ? "the file is XML; save it as .jsonl or .csv" : NULL;
}

/* No line end but CR, with something behind it. */
static bool ends_in_cr(const char *bytes, size_t length) {
  const char *cr = memchr(bytes, '\r', length);
  if (!cr || memchr(bytes, '\n', length))
    return false;
  size_t at = (size_t)(cr - bytes);
  while (at < length && bytes[at] && strchr(" \t\r", bytes[at]))
    at++;
  return at < length;
}

/* "O", or "B-" and the like with a type behind it. */
static bool is_tag(const char *text, size_t length) {
  return (length == 1 && *text == 'O') || (length > 2 && memchr("BIESLU", *text, 6) && text[1] == '-');
}

/* CoNLL's columns: a word in each line with its tag as the last one, empty lines between texts. */
static bool is_conll(const char *bytes, size_t length) {
  enum { LINES = 20, LEAST = 2 };
  static const char document[] = "-DOCSTART-";
  size_t words = 0;
  for (size_t i = 0, lines = 0; i < length && lines < LINES; lines++) {
    const char *line = bytes + i, *end = memchr(line, '\n', length - i);
    size_t size = end ? (size_t)(end - line) : length - i;
    i += size + 1;
    while (size && line[size - 1] && strchr(" \t\r", line[size - 1]))
      size--;
    if (begins(line, size, document, sizeof document - 1))
      return true;
    size_t last = size;
    while (last && line[last - 1] != ' ' && line[last - 1] != '\t')
      last--;
    if (size && (!last || !is_tag(line + last, size - last)))
      return false;
    words += size > 0;
  }
  return words >= LEAST;
}

const char *format_refused(const char *bytes, size_t length) {
  if (begins(bytes, length, "PK\3\4", 4))
    return zip(bytes, length);
  if (length > 262 && memcmp(bytes + 257, "ustar", 5) == 0 && has_control(bytes, 257))
    return "the file is a tar archive; " UNPACK;
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (begins(bytes, length, known[i].magic, known[i].length) && (!known[i].binary || has_control(bytes, length)))
      return known[i].says;
  const char *says = wide(bytes, length);
  if (!says)
    says = markup(bytes, length);
  if (!says && ends_in_cr(bytes, length))
    says = "the lines end in CR alone, as on old Macs; save the file with the line ends LF or CRLF";
  if (!says && is_conll(bytes, length))
    says = "each line has a word and its tag (CoNLL); JSON Lines has a text in each: python3 -c 'import json,re,sys; "
           "[print(json.dumps({\"tokens\": [w[0] for w in s], \"tags\": [w[-1] for w in s]})) for t in "
           "re.split(r\"\\n\\s*\\n\", sys.stdin.read()) if (s := [re.split(\"[ \\t]+\", l.strip()) for l in "
           "t.split(\"\\n\") if l.strip() and l[:10] != \"-DOCSTART-\"])]' < words.conll > words.jsonl";
  return says;
}

enum format_packing format_packing(const char *bytes, size_t length) {
  if (begins(bytes, length, "\x1F\x8B", 2))
    return FORMAT_GZIP;
  return begins(bytes, length, "PK\3\4", 4) && zip(bytes, length) == a_zip ? FORMAT_ZIP : FORMAT_PLAIN;
}

size_t format_names_delimiter(char *delimiter, const char *bytes, size_t length) {
  if (length < 6 || strncasecmp(bytes, "sep=", 4) != 0 || !strchr(",;|\t:", bytes[4]) || !bytes[4])
    return 0;
  size_t end = bytes[5] == '\r' ? 6 : 5;
  if (end >= length || bytes[end] != '\n')
    return 0;
  *delimiter = bytes[4];
  return end + 1;
}

size_t format_headerless(const char *const **names, const char *line, size_t length) {
  static const char *const cola[] = {"source", "label", "mark", "sentence"}, *const sst2[] = {"sentence", "label"};
  struct field {
    const char *text;
    size_t length;
  } field[5] = {{0}};
  size_t count = 0;
  for (const char *at = line, *end = line + length; count < COUNT_OF(field); count++) {
    const char *tab = memchr(at, '\t', (size_t)(end - at));
    field[count] = (struct field){at, (size_t)((tab ? tab : end) - at)};
    if (!tab) {
      count++;
      break;
    }
    at = tab + 1;
  }
  if (count < 2 || field[1].length != 1 || !strchr("01", field[1].text[0]))
    return 0;
  if (count == 4 && (field[2].length == 0 || (field[2].length == 1 && field[2].text[0] == '*')) && field[3].length) {
    *names = cola;
    return COUNT_OF(cola);
  }
  if (count != 2 || !memchr(field[0].text, ' ', field[0].length)) /* one word is a name */
    return 0;
  *names = sst2;
  return COUNT_OF(sst2);
}

char format_delimiter(const char *bytes, size_t length) {
  static const char order[] = ",\t;|";
  size_t best = sizeof order - 1;
  bool quoted = false;
  for (size_t i = 0; i < length && (quoted || bytes[i] != '\n'); i++) {
    const char *found = quoted || !bytes[i] ? NULL : strchr(order, bytes[i]);
    quoted ^= bytes[i] == '"';
    if (found && (size_t)(found - order) < best)
      best = (size_t)(found - order);
  }
  return best < sizeof order - 1 ? order[best] : ',';
}
