#include "cli/starts.h"

#include <string.h>

#include "base/attr.h"

const struct start starts[] = {
    {"classification",
     "classify",
     {
         "{\"text\": \"The room was clean and quiet.\", \"label\": \"good\"}",
         "{\"text\": \"The heating was broken all night.\", \"label\": \"bad\"}",
         "{\"text\": \"Breakfast was the best of our trip.\", \"label\": \"good\"}",
         "{\"text\": \"Nobody answered at the desk.\", \"label\": \"bad\"}",
         "{\"text\": \"A friendly team and a lovely view.\", \"label\": \"good\"}",
         "{\"text\": \"The carpet was stained and it smelled.\", \"label\": \"bad\"}",
         "{\"text\": \"I would come back any time.\", \"label\": \"good\"}",
         "{\"text\": \"Far too loud to sleep.\", \"label\": \"bad\"}",
         "{\"text\": \"Everything worked, and the bed was soft.\", \"label\": \"good\"}",
         "{\"text\": \"We waited an hour for a cold meal.\", \"label\": \"bad\"}",
         "{\"text\": \"Great value so close to the station.\", \"label\": \"good\"}",
         "{\"text\": \"The pictures online show another place.\", \"label\": \"bad\"}",
     }},
    {"regression",
     NULL,
     {
         "{\"text\": \"The room was clean and quiet.\", \"label\": 4.5}",
         "{\"text\": \"The heating was broken all night.\", \"label\": 1.5}",
         "{\"text\": \"Breakfast was the best of our trip.\", \"label\": 5.0}",
         "{\"text\": \"Nobody answered at the desk.\", \"label\": 2.0}",
         "{\"text\": \"A friendly team and a lovely view.\", \"label\": 4.0}",
         "{\"text\": \"The carpet was stained and it smelled.\", \"label\": 1.0}",
         "{\"text\": \"I would come back any time.\", \"label\": 4.8}",
         "{\"text\": \"Far too loud to sleep.\", \"label\": 1.8}",
         "{\"text\": \"Everything worked, and the bed was soft.\", \"label\": 4.2}",
         "{\"text\": \"We waited an hour for a cold meal.\", \"label\": 1.2}",
         "{\"text\": \"Great value so close to the station.\", \"label\": 3.9}",
         "{\"text\": \"The pictures online show another place.\", \"label\": 2.2}",
     }},
    {"multi_label",
     "labels",
     {
         "{\"text\": \"The soup was cold and the waiter rude.\", \"labels\": [\"food\", \"service\"]}",
         "{\"text\": \"A bright room with a sea view.\", \"labels\": [\"room\"]}",
         "{\"text\": \"They carried our bags and booked the taxi.\", \"labels\": [\"service\"]}",
         "{\"text\": \"Fresh bread every morning.\", \"labels\": [\"food\"]}",
         "{\"text\": \"The shower dripped on our dinner tray.\", \"labels\": [\"room\", \"food\"]}",
         "{\"text\": \"We arrived on a Monday.\", \"labels\": []}",
         "{\"text\": \"Clean towels each day, always with a smile.\", \"labels\": [\"room\", \"service\"]}",
         "{\"text\": \"The fish was perfect.\", \"labels\": [\"food\"]}",
         "{\"text\": \"Our bed was too short.\", \"labels\": [\"room\"]}",
         "{\"text\": \"The desk was closed and the kitchen too.\", \"labels\": [\"service\", \"food\"]}",
         "{\"text\": \"Nice people at the desk.\", \"labels\": [\"service\"]}",
         "{\"text\": \"The window would not open.\", \"labels\": [\"room\"]}",
     }},
    {"token_classification",
     "tags",
     {
         "{\"tokens\": [\"Ada\", \"Lovelace\", \"lived\", \"in\", \"London\"], \"tags\": [\"B-P"
         "ER\", \"I-PER\", \"O\", \"O\", \"B-LOC\"]}",
         "{\"tokens\": [\"Grace\", \"wrote\", \"a\", \"compiler\"], \"tags\": [\"B-PER\", \"O\","
         " \"O\", \"O\"]}",
         "{\"tokens\": [\"The\", \"train\", \"to\", \"Paris\", \"left\"], \"tags\": [\"O\", \"O\","
         " \"O\", \"B-LOC\", \"O\"]}",
         "{\"tokens\": [\"Alan\", \"Turing\", \"worked\", \"in\", \"Manchester\"], \"tags\": ["
         "\"B-PER\", \"I-PER\", \"O\", \"O\", \"B-LOC\"]}",
         "{\"tokens\": [\"We\", \"met\", \"Noether\", \"in\", \"Erlangen\"], \"tags\": [\"O\", \""
         "O\", \"B-PER\", \"O\", \"B-LOC\"]}",
         "{\"tokens\": [\"It\", \"rained\", \"all\", \"day\"], \"tags\": [\"O\", \"O\", \"O\", \"O\"]}",
         "{\"tokens\": [\"Hopper\", \"was\", \"born\", \"in\", \"New\", \"York\"], \"tags\": [\"B"
         "-PER\", \"O\", \"O\", \"O\", \"B-LOC\", \"I-LOC\"]}",
         "{\"tokens\": [\"Nobody\", \"saw\", \"Emmy\"], \"tags\": [\"O\", \"O\", \"B-PER\"]}",
         "{\"tokens\": [\"Rome\", \"is\", \"old\"], \"tags\": [\"B-LOC\", \"O\", \"O\"]}",
         "{\"tokens\": [\"Curie\", \"moved\", \"to\", \"Paris\"], \"tags\": [\"B-PER\", \"O\", \""
         "O\", \"B-LOC\"]}",
         "{\"tokens\": [\"Alan\", \"stayed\", \"at\", \"home\"], \"tags\": [\"B-PER\", \"O\", \"O\", \"O\"]}",
         "{\"tokens\": [\"They\", \"left\", \"London\", \"early\"], \"tags\": [\"O\", \"O\", \"B-"
         "LOC\", \"O\"]}",
     }},
    {"language_model",
     "chat",
     {
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"How do I reset m"
         "y password?\"}, {\"role\": \"assistant\", \"content\": \"Open Settings, choose"
         " Security, then press Reset password.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"When are you ope"
         "n?\"}, {\"role\": \"assistant\", \"content\": \"We are open from 9 to 17, Mond"
         "ay to Friday.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"Can I change my "
         "order?\"}, {\"role\": \"assistant\", \"content\": \"Yes, until it has been pac"
         "ked: open the order and press Change.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"Where is my invo"
         "ice?\"}, {\"role\": \"assistant\", \"content\": \"It is in your account under "
         "Orders, beside each order.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"Do you ship abro"
         "ad?\"}, {\"role\": \"assistant\", \"content\": \"We ship to all countries of t"
         "he European Union.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"How long does de"
         "livery take?\"}, {\"role\": \"assistant\", \"content\": \"Two to four working "
         "days.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"Can I pay by car"
         "d?\"}, {\"role\": \"assistant\", \"content\": \"Yes, by any credit or debit ca"
         "rd.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"How do I return "
         "something?\"}, {\"role\": \"assistant\", \"content\": \"Print the label from y"
         "our account and hand the parcel in at any post office.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"Is there a warra"
         "nty?\"}, {\"role\": \"assistant\", \"content\": \"Everything we sell has a war"
         "ranty of two years.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"How do I delete "
         "my account?\"}, {\"role\": \"assistant\", \"content\": \"Open Settings, choose"
         " Account, then press Delete.\"}]}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"Do you have a sh"
         "op?\"}, {\"role\": \"assistant\", \"content\": \"Yes, in Harbour Street 12.\"}]"
         "}",
         "{\"messages\": [{\"role\": \"system\", \"content\": \"You answer customers of a"
         " small shop, briefly.\"}, {\"role\": \"user\", \"content\": \"Who can I call?\""
         "}, {\"role\": \"assistant\", \"content\": \"Our line is open from 9 to 17: th"
         "e number is on every invoice.\"}]}",
     }},
    {"embedding",
     "embed",
     {
         "{\"anchor\": \"How do I reset my password?\", \"positive\": \"Open Settings, "
         "choose Security, then press Reset password.\"}",
         "{\"anchor\": \"When are you open?\", \"positive\": \"We are open from 9 to 17"
         ", Monday to Friday.\"}",
         "{\"anchor\": \"Can I change my order?\", \"positive\": \"Yes, until it has be"
         "en packed: open the order and press Change.\"}",
         "{\"anchor\": \"Where is my invoice?\", \"positive\": \"It is in your account "
         "under Orders, beside each order.\"}",
         "{\"anchor\": \"Do you ship abroad?\", \"positive\": \"We ship to all countrie"
         "s of the European Union.\"}",
         "{\"anchor\": \"How long does delivery take?\", \"positive\": \"Two to four working days.\"}",
         "{\"anchor\": \"Can I pay by card?\", \"positive\": \"Yes, by any credit or debit card.\"}",
         "{\"anchor\": \"How do I return something?\", \"positive\": \"Print the label "
         "from your account and hand the parcel in at any post office.\"}",
         "{\"anchor\": \"Is there a warranty?\", \"positive\": \"Everything we sell has"
         " a warranty of two years.\"}",
         "{\"anchor\": \"How do I delete my account?\", \"positive\": \"Open Settings, "
         "choose Account, then press Delete.\"}",
         "{\"anchor\": \"Do you have a shop?\", \"positive\": \"Yes, in Harbour Street 12.\"}",
         "{\"anchor\": \"Who can I call?\", \"positive\": \"Our line is open from 9 to "
         "17: the number is on every invoice.\"}",
     }},
    {"reranking",
     "rerank",
     {
         "{\"query\": \"How do I reset my password?\", \"passage\": \"Open Settings, ch"
         "oose Security, then press Reset password.\", \"label\": 1}",
         "{\"query\": \"When are you open?\", \"passage\": \"Yes, by any credit or debi"
         "t card.\", \"label\": 0}",
         "{\"query\": \"Can I change my order?\", \"passage\": \"Yes, until it has been"
         " packed: open the order and press Change.\", \"label\": 1}",
         "{\"query\": \"Where is my invoice?\", \"passage\": \"Everything we sell has a"
         " warranty of two years.\", \"label\": 0}",
         "{\"query\": \"Do you ship abroad?\", \"passage\": \"We ship to all countries "
         "of the European Union.\", \"label\": 1}",
         "{\"query\": \"How long does delivery take?\", \"passage\": \"Yes, in Harbour "
         "Street 12.\", \"label\": 0}",
         "{\"query\": \"Can I pay by card?\", \"passage\": \"Yes, by any credit or debi"
         "t card.\", \"label\": 1}",
         "{\"query\": \"How do I return something?\", \"passage\": \"Open Settings, cho"
         "ose Security, then press Reset password.\", \"label\": 0}",
         "{\"query\": \"Is there a warranty?\", \"passage\": \"Everything we sell has a"
         " warranty of two years.\", \"label\": 1}",
         "{\"query\": \"How do I delete my account?\", \"passage\": \"Yes, until it has"
         " been packed: open the order and press Change.\", \"label\": 0}",
         "{\"query\": \"Do you have a shop?\", \"passage\": \"Yes, in Harbour Street 12.\", \"label\": 1}",
         "{\"query\": \"Who can I call?\", \"passage\": \"We ship to all countries of t"
         "he European Union.\", \"label\": 0}",
     }},
};
const size_t start_count = COUNT_OF(starts);

const struct start *start_find(const char *task) {
  for (size_t i = 0; i < COUNT_OF(starts); i++)
    if (strcmp(starts[i].task, task) == 0 || (starts[i].alias && strcmp(starts[i].alias, task) == 0))
      return &starts[i];
  return NULL;
}
