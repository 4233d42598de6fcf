// Variables of a thread that every short way reads.

#ifndef WEIR_CORE_THREAD_LOCAL_H_
#define WEIR_CORE_THREAD_LOCAL_H_

// Before the declaration of one: it is found by one instruction, and lies in the
// static block of a thread, of which a program that loads the library later has
// some to spare (dlopen(3); TLS models: "ELF Handling For Thread-Local Storage").
#if defined(__ELF__) && defined(__GNUC__)
#define WEIR_IN_STATIC_BLOCK [[gnu::tls_model("initial-exec")]]
#else
#define WEIR_IN_STATIC_BLOCK
#endif

#endif  // WEIR_CORE_THREAD_LOCAL_H_
