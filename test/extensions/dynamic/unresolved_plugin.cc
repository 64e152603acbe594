// Needs a function that nobody has.
extern "C" void weir_test_nobody_defines_this();
extern "C" __attribute__((visibility("default"))) void weir_plugin_entry() { weir_test_nobody_defines_this(); }
