#pragma once

#include <cstddef>

namespace fastserve {

// How the process keeps memory that it has freed. Requests and tensors of some hundred kilobytes
// come and go all the time, and the C library would take most of them from the kernel anew, page by
// page; what a model leaves behind when it is unloaded, though, should go back.

// Has the C library keep freed memory for what comes next, up to 64 MiB in each of its arenas.
// Once, before threads start; again it changes nothing.
void KeepFreedMemory();

// Gives back all that is kept. Takes milliseconds, more where there is much; other threads may have
// to wait for as long as one arena takes. Any thread.
void ReturnFreedMemory();

// Gives the pages of a block back that is about to be freed, where they would be kept otherwise.
// Their bytes are lost. Any thread.
void ReturnPages(char* block, size_t size);

}  // namespace fastserve
