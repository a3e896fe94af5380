from wholeword.cli import main

main()
