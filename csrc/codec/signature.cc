#include "codec/signature.h"
