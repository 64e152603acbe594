#include "core/server/options.h"

namespace weir::server {

// Two screens at most: grouped by task, the most used examples on top.
std::string help_text() {
  return "weir " WEIR_VERSION R"(: an L4/L7 proxy configured in the xDS v3 format

  weir -c edge.yaml                       serve
  weir --mode validate -c edge.yaml       say everything that is wrong with a file, and serve nothing
  weir -c edge.yaml --concurrency 2 -l debug
  weir lint -c edge.yaml                  say what is legal in a file and probably not meant
  weir diff OLD NEW                       say what a reload from one file to the other would change and drain

Configuration
  -c, --config-path FILE                  bootstrap, YAML or JSON ("-": standard input)
  --config-yaml TEXT                      merged over the file
  --mode serve|validate|init_only         validate: read the files that are named and load the plugins; bind and write
                                          nothing. init_only: build everything, bind, and exit
  --lint off|warn                         off: a start and --mode validate do not say what weir lint finds
  --lint-error RULE,...                   what these rules of weir lint find is an error, at a start and at a reload
  --json                                  findings as JSON
  --allow-unknown-static-fields           unknown fields are warnings
  --unknown-extensions reject|passthrough passthrough: filters and access loggers of unknown types are left out with
                                          a warning, unless they may authorise
  --service-cluster, --service-node, --service-zone NAME
                                          override node.cluster, node.id, node.locality.zone

Process
  --concurrency N                         worker threads (default: one per usable processor, or as
                                          many as the quota of the control group allows)
  --user NAME, --group NAME               become these, names or numbers, once everything is bound
  --pid-file FILE                         the process's number is written there
  --admin-address-path FILE               the admin's address is written there
  --stats-tag NAME:VALUE                  a label of every statistic; may be repeated

Draining
  --drain-time-s N                        how long the connections of a removed or changed listener last (default 600)
  --drain-strategy gradual|immediate      told to close one after the other over the drain time, or all when it begins
  --shutdown-delay-s N                    SIGTERM: readiness fails so long before listeners close (default 0)
  --shutdown-deadline-s N                 SIGTERM: what still runs then is cut off (default 25). A drain time below it
                                          spreads the closing here too; otherwise all are told at once.

Restarts without a gap (also by SIGUSR2, with the command line of the running process: systemctl reload)
  --restart                               take the sockets of the running process over, serve, then let it drain (over
                                          --drain-time-s); without a running process: just start
  --parent-shutdown-time-s N              what still runs there then is cut off (default 900)
  --restart-timeout-s N                   a new process has so long to serve; else the old one goes on (default 60)
  --base-id N, --socket-path NAME         which process: @NAME or a path, to which _N is added (default
                                          @weir_restart_UID, 0); --socket-mode MODE (600), --use-dynamic-base-id,
                                          --base-id-path FILE
  --restart-epoch N                       as --restart, if the running process has the number N - 1
  --skip-hot-restart-on-no-parent         with it: start also if there is none
  --skip-hot-restart-parent-stats         counters begin at 0
  --disable-hot-restart                   nobody takes over from this process; --hot-restart-version

Logs
  -l, --log-level LEVEL                   trace, debug, info, warning, error, critical, off (default info)
  --component-log-level NAME:LEVEL,...    levels of single components; POST /logging changes them later
  --log-path FILE                         default: standard error
  --log-format PATTERN                    default "[%Y-%m-%d %T.%e][%t][%l][%n] %v"; %j: text for JSON, %^ %$: colour
  --log-format-escaped                    line breaks in a text are printed as \n
  --file-flush-interval-msec N            of access logs (default 10000)

Accepted for scripts of other proxies, and logged as without effect where they ask for more than the default
  --reject-unknown-dynamic-fields, --ignore-unknown-dynamic-fields, --enable-fine-grain-logging

--list-extensions, --version, --help

Signals: SIGTERM, SIGINT drain and stop (twice: at once); SIGHUP reads the configuration again; SIGUSR1 reopens logs;
         SIGUSR2 restarts.
Exit codes: 0 clean, 1 bad configuration, 2 bad arguments, 3 could not bind, 4 drained but the deadline was hit.
)";
}

}  // namespace weir::server
